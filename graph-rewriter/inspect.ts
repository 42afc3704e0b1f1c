// Lists every matrix product of a model with what the rewriter would do with it.
import type { ModelInfo } from './types.js';

/** Reads the structure of an ONNX file, never its weights. Throws INVALID_MODEL, UNSUPPORTED_MODEL, EXTERNAL_DATA, IO. */
export function inspectModel(path: string): Promise<ModelInfo> {
  return Promise.reject(new Error(`not there yet: ${path}`));
}
