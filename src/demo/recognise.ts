// Runs the recognition model over pictures of lines.

import type * as ort from 'onnxruntime-node';
import { toOrtTensor } from '../inputs/element-types.js';
import { readBytes } from '../inputs/files.js';
import { loadOnnxRuntime } from '../../graph-rewriter/onnxruntime.js';
import { decodeGreedily } from './ctc.js';
import { pictureTensor } from './picture.js';
import type { Line } from './assets.js';

/** The feed of one picture, by input name. */
export type Feed = Record<string, ort.Tensor>;

export async function readFeed(line: Line, inputName: string): Promise<Feed> {
  const runtime = loadOnnxRuntime();
  return { [inputName]: toOrtTensor(runtime, pictureTensor(await readBytes(line.path))) };
}

/** Gives the model's only output, class probabilities [1, steps, classes]. */
export async function recognise(session: ort.InferenceSession, feed: Feed): Promise<ort.Tensor> {
  const outputs = await session.run(feed);
  return outputs[session.outputNames[0]];
}

export function textOf(output: ort.Tensor, alphabet: readonly string[]): string {
  return decodeGreedily(output.data as Float32Array, alphabet);
}
