// Arrays of numbers on disk under the hash of what they were computed from, within a bound on their bytes.
import { createHash, type Hash } from 'node:crypto';
import { mkdir, open, readdir, rm, stat, utimes, type FileHandle } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { AtomicFile } from '../../graph-rewriter/wire/atomic-file.js';

export interface Entry {
  /** JSON. */
  readonly meta: unknown;
  readonly arrays: readonly (Float32Array | Float64Array)[];
}

interface Header {
  readonly meta: unknown;
  readonly arrays: readonly { readonly type: 'float32' | 'float64'; readonly length: number }[];
}

const MAGIC = 'blockrank statistics 1\n';
const SUFFIX = '.statistics';
const DIGEST_BYTES = 32;
const LENGTH_BYTES = 8;
/** Bytes that are hashed and moved at a time. */
const CHUNK = 1 << 20;
const DEFAULT_LIMIT = 4 * 2 ** 30;

/**
 * One file an entry: magic, length of the header, header as JSON, the arrays one after another, SHA-256 of all of that.
 * Entries that were not used for longest go first.
 */
export class Store {
  constructor(
    readonly folder: string,
    private readonly limit = DEFAULT_LIMIT,
    /** Told of entries that cannot be used. */
    private readonly onDamage: (path: string) => void = () => undefined,
  ) {}

  /** Undefined where there is none, and where it is damaged: it is removed then. */
  async get(key: string): Promise<Entry | undefined> {
    const path = this.path(key);
    const handle = await open(path, 'r').catch(() => undefined);
    if (handle === undefined) return undefined;
    const entry = await readEntry(handle).catch(() => undefined);
    await handle.close();
    if (entry === undefined) {
      this.onDamage(path);
      await rm(path, { force: true }).catch(() => undefined);
      return undefined;
    }
    const now = new Date();
    await utimes(path, now, now).catch(() => undefined);
    return entry;
  }

  /** A store that cannot be written costs time later, not the work at hand. */
  async put(key: string, entry: Entry): Promise<void> {
    const bytes = entry.arrays.reduce((sum, array) => sum + array.byteLength, 0);
    if (bytes > this.limit) return;
    try {
      await mkdir(this.folder, { recursive: true });
      await writeEntry(this.path(key), entry);
      await this.shrink();
    } catch {
      return;
    }
  }

  private path(key: string): string {
    return join(this.folder, `${key}${SUFFIX}`);
  }

  private async shrink(): Promise<void> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith(SUFFIX));
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(this.folder, name);
        const found = await stat(path).catch(() => undefined);
        return { path, bytes: found?.size ?? 0, used: found?.mtimeMs ?? 0 };
      }),
    );
    let total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { path, bytes } of files.sort((a, b) => a.used - b.used)) {
      if (total <= this.limit) return;
      await rm(path, { force: true });
      total -= bytes;
    }
  }
}

/** `$XDG_CACHE_HOME/blockrank/statistics`, or the same in `~/.cache`. */
export function defaultFolder(): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(cache, 'blockrank', 'statistics');
}

async function writeEntry(path: string, { meta, arrays }: Entry): Promise<void> {
  const header: Header = {
    meta,
    arrays: arrays.map((array) => ({
      type: array instanceof Float32Array ? 'float32' : 'float64',
      length: array.length,
    })),
  };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = await AtomicFile.create(path);
  const hash = createHash('sha256');
  const write = async (bytes: Uint8Array) => {
    for (const part of chunks(bytes)) {
      hash.update(part);
      await file.write(part);
    }
  };
  try {
    await write(new TextEncoder().encode(MAGIC));
    await write(new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer));
    await write(text);
    for (const array of arrays) await write(bytesOf(array));
    await file.write(Uint8Array.from(hash.digest()));
    await file.commit(path);
  } finally {
    await file.discard();
  }
}

/** @throws where the file is not what `writeEntry` wrote */
async function readEntry(handle: FileHandle): Promise<Entry> {
  const { size } = await handle.stat();
  const hash = createHash('sha256');
  const magic = await take(handle, MAGIC.length, hash);
  if (new TextDecoder().decode(magic) !== MAGIC) throw new Error('not an entry');
  const [length] = new BigUint64Array((await take(handle, LENGTH_BYTES, hash)).buffer);
  if (length > BigInt(size)) throw new Error('a header beyond the file');
  const header = JSON.parse(new TextDecoder().decode(await take(handle, Number(length), hash))) as Header;
  const arrays = [];
  for (const { type, length: count } of header.arrays) {
    const Numbers = type === 'float32' ? Float32Array : Float64Array;
    const bytes = count * Numbers.BYTES_PER_ELEMENT;
    if (bytes > size) throw new Error('an array beyond the file');
    arrays.push(new Numbers((await take(handle, bytes, hash)).buffer));
  }
  const digest = await take(handle, DIGEST_BYTES);
  if (!hash.digest().equals(digest)) throw new Error('another checksum');
  return { meta: header.meta, arrays };
}

/** The next bytes of the file, in a buffer of their own. */
async function take(handle: FileHandle, length: number, hash?: Hash): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (const part of chunks(bytes))
    for (let done = 0; done < part.length;) {
      const { bytesRead } = await handle.read(part, done, part.length - done);
      if (bytesRead === 0) throw new Error('the file ends early');
      hash?.update(part.subarray(done, done + bytesRead));
      done += bytesRead;
    }
  return bytes;
}

function* chunks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
