// Values between two groups, of every calibration batch, for the original and the compressed model.
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { loadOnnxRuntime } from '../onnxruntime.js';

export const SIDES = ['dense', 'compressed'] as const;
export type Side = (typeof SIDES)[number];

type Numbers = Exclude<Ort.Tensor.DataType, string[]>;

/** A tensor that went to the disk: where, and how to view it. */
interface Spilled {
  readonly type: Ort.Tensor.Type;
  readonly dims: readonly number[];
  readonly view: new (buffer: ArrayBuffer) => Numbers;
  readonly offset: number;
  readonly bytes: number;
}

interface Value {
  readonly batches: (Ort.Tensor | Spilled | undefined)[];
  readonly type: Ort.Tensor.Type;
  /** Open while batches of this value are on the disk. */
  file?: { readonly fd: number; size: number };
}

/** Tensors stay in memory up to `limit` bytes in all; what comes on top goes to temporary files, one for each value. */
export class States {
  private readonly values = new Map<string, Value>();
  private held = 0;
  private folder: string | undefined;

  constructor(private readonly limit: number) {}

  put(name: string, side: Side, batch: number, tensor: Ort.Tensor): void {
    const key = `${side} ${name}`;
    const value = this.values.get(key) ?? { batches: [], type: tensor.type };
    this.values.set(key, value);
    const bytes = byteLength(tensor);
    if (bytes === undefined || this.held + bytes <= this.limit) {
      this.held += bytes ?? 0;
      value.batches[batch] = tensor;
    } else value.batches[batch] = this.spill(value, tensor);
  }

  /** Values that no changed layer comes before are the same on both sides and kept once. */
  get(name: string, side: Side, batch: number): Ort.Tensor {
    const value = this.values.get(`${side} ${name}`) ?? this.values.get(`dense ${name}`)!;
    const found = value.batches[batch]!;
    return 'offset' in found ? load(value.file!.fd, found) : found;
  }

  /** Element types of all values at hand. */
  types(): Map<string, string> {
    const types = [...this.values].map(([key, { type }]) => [key.slice(key.indexOf(' ') + 1), type] as const);
    return new Map(types);
  }

  /** One batch of a value is not read again. */
  dropBatch(name: string, batch: number): void {
    for (const side of SIDES) {
      const batches = this.values.get(`${side} ${name}`)?.batches;
      const tensor = batches?.[batch];
      if (tensor === undefined || 'offset' in tensor) continue;
      this.held -= byteLength(tensor) ?? 0;
      batches![batch] = undefined;
    }
  }

  drop(name: string): void {
    for (const side of SIDES) {
      const value = this.values.get(`${side} ${name}`);
      this.values.delete(`${side} ${name}`);
      for (const tensor of value?.batches ?? [])
        if (tensor !== undefined && !('offset' in tensor)) this.held -= byteLength(tensor) ?? 0;
      if (value?.file) closeFile(value.file.fd);
    }
  }

  close(): void {
    for (const { file } of this.values.values()) if (file) closeFile(file.fd);
    this.values.clear();
    if (this.folder !== undefined) rmSync(this.folder, { recursive: true, force: true });
  }

  private spill(value: Value, tensor: Ort.Tensor): Spilled {
    const data = tensor.data as Numbers;
    this.folder ??= mkdtempSync(join(tmpdir(), 'blockrank-states-'));
    if (value.file === undefined) {
      const path = join(this.folder, 'value');
      value.file = { fd: openSync(path, 'w+', 0o600), size: 0 };
      // Open but nameless: gone with the process, however that ends.
      rmSync(path);
    }
    const { file } = value;
    const offset = file.size;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let done = 0; done < bytes.length;)
      done += writeSync(file.fd, bytes, done, bytes.length - done, offset + done);
    file.size += bytes.length;
    const view = data.constructor as Spilled['view'];
    return { type: tensor.type, dims: tensor.dims, view, offset, bytes: bytes.length };
  }
}

/** Undefined for strings, which stay in memory. */
function byteLength(tensor: Ort.Tensor): number | undefined {
  return Array.isArray(tensor.data) ? undefined : tensor.data.byteLength;
}

function load(fd: number, { type, dims, view, offset, bytes }: Spilled): Ort.Tensor {
  const buffer = new Uint8Array(bytes);
  for (let done = 0; done < bytes;) done += readSync(fd, buffer, done, bytes - done, offset + done);
  const { Tensor } = loadOnnxRuntime();
  return new Tensor(type, new view(buffer.buffer), dims);
}

function closeFile(fd: number): void {
  ftruncateSync(fd);
  closeSync(fd);
}
