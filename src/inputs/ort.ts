// onnxruntime-node is a peer dependency: loaded when a model is run, so that what runs none works without it.
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { errorMessage } from '../progress.js';

/** The user's onnxruntime-node. @throws BlockrankError ORT_NOT_FOUND */
export async function loadOrt(): Promise<typeof ort> {
  try {
    const module = await import('onnxruntime-node');
    return module;
  } catch (cause) {
    throw new BlockrankError(
      'ORT_NOT_FOUND',
      'onnxruntime-node could not be loaded. Install it beside blockrank: npm install onnxruntime-node',
      { cause },
    );
  }
}

/** Creates a session, with a failure as a BlockrankError SESSION that names the model. */
export async function createSession(
  model: string,
  options: ort.InferenceSession.SessionOptions = {},
): Promise<ort.InferenceSession> {
  const runtime = await loadOrt();
  try {
    return await runtime.InferenceSession.create(model, options);
  } catch (cause) {
    throw new BlockrankError(
      'SESSION',
      `${model} could not be opened by onnxruntime-node: ${errorMessage(cause)}`,
      {
        cause,
      },
    );
  }
}
