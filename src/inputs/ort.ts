// Sessions of the application's own onnxruntime-node.
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { loadOnnxRuntime } from '../loader/onnxruntime.js';
import { errorMessage } from '../progress.js';

/** Creates a session. @throws BlockrankError SESSION naming the model, or the loader's codes */
export async function createSession(
  model: string,
  options: ort.InferenceSession.SessionOptions = {},
): Promise<ort.InferenceSession> {
  const runtime = loadOnnxRuntime();
  try {
    // Warnings (2) are for the exporter of the model; errors are thrown anyway.
    return await runtime.InferenceSession.create(model, { logSeverityLevel: 3, ...options });
  } catch (cause) {
    const message = `${model} could not be opened by onnxruntime-node: ${errorMessage(cause)}`;
    throw new BlockrankError('SESSION', message, { cause });
  }
}
