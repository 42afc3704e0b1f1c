// Lists every matrix product of a model with what the rewriter would do with it.
import { type Stats, statSync } from 'node:fs';
import { BlockrankError } from './errors.js';
import { externalBytes } from './external-tensors.js';
import { findLayers } from './layers.js';
import { openModel } from './inline/index.js';
import type { ModelInfo } from './types.js';
import { sha256Of } from './wire/sha256.js';
import { FileSource } from './wire/source.js';

/** Reads the structure of an ONNX file, never its weights. Throws INVALID_MODEL, UNSUPPORTED_MODEL, EXTERNAL_DATA, IO. */
export async function inspectModel(path: string): Promise<ModelInfo> {
  return await Promise.resolve().then(() => inspectNow(path));
}

function inspectNow(path: string): ModelInfo {
  const model = openModel(path);
  try {
    const seen = statSync(path);
    let hash: string | undefined;
    return {
      path,
      irVersion: model.irVersion,
      opset: model.opset,
      producer: model.producer,
      bytes: model.file.size + externalBytes(model),
      layers: findLayers(model).map((layer) => layer.info),
      get sha256() {
        return (hash ??= hashUnchanged(path, seen));
      },
    };
  } finally {
    model.close();
  }
}

/** Hashing a large file takes longer than inspecting it, and only plans need it. */
function hashUnchanged(path: string, seen: Stats): string {
  const file = new FileSource(path);
  try {
    const now = statSync(path);
    if (now.size !== seen.size || now.mtimeMs !== seen.mtimeMs)
      throw new BlockrankError('IO', `${path} changed after it was inspected. Inspect it again.`);
    return sha256Of(file);
  } finally {
    file.close();
  }
}
