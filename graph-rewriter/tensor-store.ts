// Collects new tensors on disk while a model is being made, so that memory never holds more than one.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { entry, initializerField } from './encode.js';
import type { ByteRange } from './external.js';
import { dataTypeNumber, TENSOR } from './schema.js';
import type { FactorType } from './types.js';
import { AtomicFile } from './wire/atomic-file.js';
import { delimited, type Piece, totalLength, varintField } from './wire/pieces.js';
import { FileSource } from './wire/source.js';

/** Of each copied chunk, for the data file's name: hashing all bytes would take longer than copying them. */
const SAMPLE = 1024;
/** The page size that runtimes need to map a tensor into memory. */
const ALIGNMENT = 4096;
const EXTERNAL = 1;

export interface NewTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: FactorType;
}

interface Stored extends NewTensor {
  readonly start: number;
  readonly end: number;
}

/**
 * One temporary file beside the target. Inline: it is read back into the model file and removed. External: it becomes
 * the model's data file, whose name says what is in it, so that a model that is overwritten, by two writers or with a
 * crash in between, never meets the data of another one (docs/design/0012-data-files.md).
 */
export class TensorStore {
  private readonly tensors: Stored[] = [];
  private readonly copies = new Map<string, number>();
  private readonly hash = createHash('sha256');
  private reader: FileSource | undefined;
  private location = '';
  /** A data file that had this name before is none of ours to remove. */
  private wasThere = true;

  private constructor(
    private readonly target: string,
    readonly external: boolean,
    private readonly file: AtomicFile,
  ) {}

  static async create(target: string, external: boolean): Promise<TensorStore> {
    return new TensorStore(target, external, await AtomicFile.create(target));
  }

  /** Bytes of the data file that the model needs beside it. */
  get externalBytes(): number {
    return this.external ? this.file.size : 0;
  }

  async add(tensor: NewTensor, bytes: Uint8Array): Promise<void> {
    const start = await this.append([bytes]);
    this.tensors.push({ ...tensor, start, end: start + bytes.length });
  }

  /** Copies external data of the source; the same range only once. Returns its new offset. */
  async copy({ source, start, end }: ByteRange): Promise<number> {
    const key = `${start} ${end} ${source.path}`;
    const known = this.copies.get(key);
    if (known !== undefined) return known;
    const offset = await this.append([{ source, start, end }], SAMPLE);
    this.copies.set(key, offset);
    return offset;
  }

  /** No more tensors: the data file's name is known from here on. `model` is the hash of what the rest of the model is made from. */
  finish(model: string): void {
    this.hash.update(model);
    this.location = `${basename(this.target)}.${this.hash.digest('hex').slice(0, 12)}.data`;
    if (!this.external) this.reader = new FileSource(this.file.temporary);
  }

  /** Puts the data file in its place; the model that needs it must follow. */
  async commit(): Promise<void> {
    if (!this.external || this.file.size === 0) return;
    this.wasThere = existsSync(this.dataPath);
    await this.file.commit(this.dataPath);
  }

  /** Takes everything back that was written. */
  async discard(): Promise<void> {
    await this.close();
    if (!this.wasThere) await rm(this.dataPath, { force: true });
  }

  /** The new tensors as fields of a graph; after `finish`. */
  initializers(): Piece[] {
    return this.tensors.flatMap((tensor) => {
      const header = { name: tensor.name, dims: [...tensor.dims], dataType: dataTypeNumber(tensor.type) };
      if (this.external)
        return initializerField(header, this.reference(tensor.start, tensor.end - tensor.start));
      const bytes = { source: this.reader!, start: tensor.start, end: tensor.end };
      return initializerField(header, delimited(TENSOR.rawData, [bytes]));
    });
  }

  /** Fields of a tensor whose data is in the data file. */
  reference(offset: number, length: number): Piece[] {
    return [...this.place(offset, length), varintField(TENSOR.dataLocation, EXTERNAL)];
  }

  /** The entries that say where. */
  place(offset: number, length: number): Piece[] {
    const entries = { location: this.location, offset: String(offset), length: String(length) };
    return Object.entries(entries).flatMap(([key, value]) =>
      delimited(TENSOR.externalData, [entry(key, value)]),
    );
  }

  async close(): Promise<void> {
    this.reader?.close();
    this.reader = undefined;
    await this.file.discard();
  }

  private get dataPath(): string {
    return join(dirname(this.target), this.location);
  }

  /** The first `sampled` bytes of each chunk go into the name. */
  private async append(pieces: readonly Piece[], sampled = Infinity): Promise<number> {
    if (this.external) await this.file.align(ALIGNMENT);
    const start = this.file.size;
    this.hash.update(`${start} ${totalLength(pieces)} `);
    await this.file.writePieces(pieces, (chunk) => this.hash.update(chunk.subarray(0, sampled)));
    return start;
  }
}
