// Random access to bytes that may be larger than memory.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { BlockrankError } from '../errors.js';

export interface Source {
  /** For messages; also tells two sources apart. */
  readonly path: string;
  readonly size: number;
  /** Bytes start … end − 1. The result may share memory with a cache: read it, do not write to it. */
  read(start: number, end: number): Uint8Array;
  /** Fills `into` with the bytes from `start` on: for long ranges, which are better read through one buffer. */
  readInto(start: number, into: Uint8Array): void;
  close(): void;
}

/** Large enough that walking small fields costs few system calls, small enough that skipping from weight to weight reads little. */
const WINDOW = 64 * 1024;

/** A file, read on demand through one window. */
export class FileSource implements Source {
  readonly size: number;
  private readonly fd: number;
  private window: Uint8Array = new Uint8Array(0);
  private windowStart = 0;

  constructor(readonly path: string) {
    try {
      this.fd = openSync(path, 'r');
    } catch (error) {
      throw unreadable(path, error);
    }
    const stat = fstatSync(this.fd);
    if (!stat.isFile()) {
      this.close();
      throw new BlockrankError('IO', `${path}: expected a file, found a directory or a device.`);
    }
    this.size = stat.size;
  }

  read(start: number, end: number): Uint8Array {
    if (start < 0 || end < start || end > this.size)
      throw new RangeError(`read ${start}…${end} of ${this.size}`);
    if (end - start > WINDOW) return this.load(start, end - start);
    if (start < this.windowStart || end > this.windowStart + this.window.length) {
      this.window = this.load(start, Math.min(WINDOW, this.size - start));
      this.windowStart = start;
    }
    return this.window.subarray(start - this.windowStart, end - this.windowStart);
  }

  readInto(start: number, into: Uint8Array): void {
    for (let done = 0; done < into.length;) {
      const count = this.readSome(into, done, start + done);
      if (count === 0) throw new BlockrankError('IO', `${this.path} became shorter while it was read.`);
      done += count;
    }
  }

  private load(start: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.readInto(start, bytes);
    return bytes;
  }

  private readSome(bytes: Uint8Array, offset: number, position: number): number {
    try {
      return readSync(this.fd, bytes, offset, bytes.length - offset, position);
    } catch (error) {
      throw unreadable(this.path, error);
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Bytes in memory, for messages that were just made and for tests. */
export class BytesSource implements Source {
  constructor(
    private readonly bytes: Uint8Array,
    readonly path = 'memory',
  ) {}

  get size(): number {
    return this.bytes.length;
  }

  read(start: number, end: number): Uint8Array {
    if (start < 0 || end < start || end > this.size)
      throw new RangeError(`read ${start}…${end} of ${this.size}`);
    return this.bytes.subarray(start, end);
  }

  readInto(start: number, into: Uint8Array): void {
    into.set(this.read(start, start + into.length));
  }

  close(): void {}
}

function unreadable(path: string, cause: unknown): BlockrankError {
  return new BlockrankError('IO', `${path} cannot be read: ${(cause as Error).message}`, { cause });
}
