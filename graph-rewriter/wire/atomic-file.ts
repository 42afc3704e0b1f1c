// A file that appears under its name only when it is complete.
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BlockrankError } from '../errors.js';
import { type Piece, pieceLength } from './pieces.js';

const CHUNK = 4 << 20;

/** Writes to a temporary file in `folder`, which `commit` renames; `discard` after that does nothing. */
export class AtomicFile {
  private bytesWritten = 0;
  private isOpen = true;
  private isDone = false;

  private constructor(
    readonly temporary: string,
    private readonly handle: FileHandle,
  ) {}

  /** `target` says where the file will be; its name may still change until `commit`. */
  static async create(target: string): Promise<AtomicFile> {
    const name = `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`;
    const temporary = join(dirname(target), name);
    return attempt(target, async () => new AtomicFile(temporary, await open(temporary, 'wx', 0o666)));
  }

  get size(): number {
    return this.bytesWritten;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await attempt(this.temporary, async () => {
      for (let done = 0; done < bytes.length;)
        done += (await this.handle.write(bytes, done, bytes.length - done)).bytesWritten;
    });
    this.bytesWritten += bytes.length;
  }

  /** Ranges are copied a few megabytes at a time. `observe` sees every chunk. */
  async writePieces(pieces: readonly Piece[], observe?: (chunk: Uint8Array) => void): Promise<void> {
    for (const piece of pieces)
      for (let at = 0; at < pieceLength(piece); at += CHUNK) {
        const chunk = slice(piece, at, Math.min(at + CHUNK, pieceLength(piece)));
        observe?.(chunk);
        await this.write(chunk);
      }
  }

  /** Zeros up to a multiple of `alignment`. */
  async align(alignment: number): Promise<void> {
    const excess = this.size % alignment;
    if (excess > 0) await this.write(new Uint8Array(alignment - excess));
  }

  async commit(target: string): Promise<void> {
    await attempt(target, async () => {
      await this.handle.sync();
      await this.close();
      await rename(this.temporary, target);
      this.isDone = true;
      await syncFolder(dirname(target));
    });
  }

  async discard(): Promise<void> {
    await this.close();
    if (!this.isDone) await rm(this.temporary, { force: true });
    this.isDone = true;
  }

  private async close(): Promise<void> {
    if (this.isOpen) await this.handle.close();
    this.isOpen = false;
  }
}

/** A text under its name only when it is complete; a device or a pipe is written to as it is. */
export async function writeWhole(target: string, text: string): Promise<void> {
  const isFile = await stat(target).then(
    (found) => found.isFile(),
    () => true,
  );
  if (!isFile) return attempt(target, () => writeFile(target, text));
  const file = await AtomicFile.create(target);
  try {
    await file.write(new TextEncoder().encode(text));
    await file.commit(target);
  } finally {
    await file.discard();
  }
}

function slice(piece: Piece, start: number, end: number): Uint8Array {
  return piece instanceof Uint8Array
    ? piece.subarray(start, end)
    : piece.source.read(piece.start + start, piece.start + end);
}

/** Makes the rename itself durable; file systems that cannot do it lose nothing but that. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

const HINTS: Record<string, string> = {
  ENOENT: 'The folder does not exist; create it first.',
  EACCES: 'The folder or file may not be written to.',
  EPERM: 'The folder or file may not be written to.',
  EROFS: 'The file system is read-only.',
  ENOSPC: 'The disk is full.',
  EDQUOT: 'The disk quota is used up.',
  EISDIR: 'There is a folder of that name.',
  ENOTDIR: 'A part of the path is no folder.',
  EFBIG: 'The file system does not take files of this size.',
};

async function attempt<T>(target: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof BlockrankError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const why = (code !== undefined && HINTS[code]) || message;
    throw new BlockrankError('IO', `${target} cannot be written: ${why}`, { cause: error });
  }
}
