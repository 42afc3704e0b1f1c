// Reading whole files.
import { readFile } from 'node:fs/promises';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { errorMessage } from '../progress.js';

/** The bytes of a file. @throws BlockrankError IO naming the path */
export async function readBytes(path: string): Promise<Uint8Array> {
  const buffer = await readFile(path).catch((cause: unknown) => {
    throw new BlockrankError('IO', `${path} could not be read: ${errorMessage(cause)}`, { cause });
  });
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
