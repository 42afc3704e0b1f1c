// What statistics depend on beside their own options: the model's numbers, the calibration inputs, who computes.
import { createHash, type Hash } from 'node:crypto';
import { findExternalTensors } from '../../graph-rewriter/external-tensors.js';
import { Model } from '../../graph-rewriter/model.js';
import { findOnnxRuntime } from '../../graph-rewriter/onnxruntime.js';
import type { ModelInfo } from '../../graph-rewriter/types.js';
import { VERSION } from '../../graph-rewriter/version.js';
import type { Feeds } from '../calibrate.js';

/** Raise it when statistics of the same inputs change. */
const REVISION = 1;
const CHUNK = 1 << 20;

export function identityOf(info: ModelInfo, inputs: readonly Feeds[]): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([REVISION, VERSION, findOnnxRuntime().version, info.sha256]));
  addExternalData(hash, info.path);
  for (const feeds of inputs) addFeeds(hash, feeds);
  return hash.digest('hex');
}

/** The file's own hash covers names and offsets of external data, not its bytes. */
function addExternalData(hash: Hash, path: string): void {
  const model = Model.open(path);
  try {
    const buffer = new Uint8Array(CHUNK);
    for (const tensor of findExternalTensors(model)) {
      const { source, start, end } = model.files.range(tensor);
      for (let at = start; at < end; at += CHUNK) {
        const chunk = buffer.subarray(0, Math.min(CHUNK, end - at));
        source.readInto(at, chunk);
        hash.update(chunk);
      }
    }
  } finally {
    model.close();
  }
}

/** Batches count as they are: sums are rounded batch by batch. */
function addFeeds(hash: Hash, feeds: Feeds): void {
  for (const name of Object.keys(feeds).sort()) {
    const { type, dims, data } = feeds[name];
    hash.update(JSON.stringify([name, type, dims]));
    if (Array.isArray(data)) hash.update(JSON.stringify(data));
    else hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
}
