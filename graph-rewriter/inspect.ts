// Lists every matrix product of a model with what the rewriter would do with it.
import { externalBytes } from './external-tensors.js';
import { findLayers } from './layers.js';
import { openModel } from './inline/index.js';
import type { ModelInfo } from './types.js';

/** Reads the structure of an ONNX file, never its weights. Throws INVALID_MODEL, UNSUPPORTED_MODEL, EXTERNAL_DATA, IO. */
export async function inspectModel(path: string): Promise<ModelInfo> {
  return await Promise.resolve().then(() => inspectNow(path));
}

function inspectNow(path: string): ModelInfo {
  const model = openModel(path);
  try {
    return {
      path,
      sha256: model.sha256(),
      irVersion: model.irVersion,
      opset: model.opset,
      producer: model.producer,
      bytes: model.file.size + externalBytes(model),
      layers: findLayers(model).map((layer) => layer.info),
    };
  } finally {
    model.close();
  }
}
