// External data: weights in files beside the model.
import { existsSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { BlockrankError } from './errors.js';
import { ENTRY, TENSOR } from './schema.js';
import type { Message } from './wire/message.js';
import { FileSource, type Source } from './wire/source.js';

const EXTERNAL = 1;

export interface ByteRange {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
}

export function isExternal(tensor: Message): boolean {
  return tensor.int(TENSOR.dataLocation) === EXTERNAL;
}

/** Opens the data files of one model, each once. */
export class ExternalFiles {
  private readonly files = new Map<string, FileSource>();

  constructor(private readonly modelPath: string) {}

  /** Where a tensor's bytes lie. Without a stated length they run to the end of the file. */
  range(tensor: Message): ByteRange {
    const entries = new Map(
      tensor.messages(TENSOR.externalData).map((e) => [e.string(ENTRY.key), e.string(ENTRY.value)]),
    );
    const name = tensor.string(TENSOR.name);
    const location = entries.get('location');
    if (location === undefined || location === '')
      throw new BlockrankError('EXTERNAL_DATA', `Tensor '${name}' is external but names no file.`);
    const source = this.open(location, name);
    const start = integer(entries.get('offset') ?? '0', 'offset', name);
    const length = integer(entries.get('length') ?? String(Math.max(source.size - start, 0)), 'length', name);
    if (start + length > source.size)
      throw new BlockrankError(
        'EXTERNAL_DATA',
        `Tensor '${name}' lies at bytes ${start}…${start + length} of ${location}, which has ${source.size} bytes. The file is incomplete or belongs to another model.`,
      );
    return { source, start, end: start + length };
  }

  close(): void {
    for (const file of this.files.values()) file.close();
    this.files.clear();
  }

  private open(location: string, tensor: string): FileSource {
    let file = this.files.get(location);
    if (file === undefined) {
      file = new FileSource(safePath(this.modelPath, location, tensor));
      this.files.set(location, file);
    }
    return file;
  }
}

/** A model must not make us read, and copy into its successor, files that are not its own. */
function safePath(modelPath: string, location: string, tensor: string): string {
  const refuse = (why: string) =>
    new BlockrankError('EXTERNAL_DATA', `Tensor '${tensor}' has its data in '${location}', ${why}.`);
  if (isAbsolute(location) || location.includes('\0'))
    throw refuse('which is not a path relative to the model');
  if (location.split(/[\\/]/).includes('..')) throw refuse("which leaves the model's folder");
  const path = join(dirname(modelPath), location);
  if (!existsSync(path)) throw refuse(`but ${path} does not exist`);
  const real = realpathSync(path);
  // Model caches link the model and its data into one folder of blobs: the folder that the model really lies in counts too.
  const folders = [realpathSync(dirname(modelPath)), dirname(realpathSync(modelPath))];
  if (!folders.some((folder) => isInside(folder, real)))
    throw refuse("a link that leaves the model's folder");
  return path;
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function integer(text: string, what: string, tensor: string): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value))
    throw new BlockrankError(
      'EXTERNAL_DATA',
      `Tensor '${tensor}': expected its ${what} to be a whole number, found '${text}'.`,
    );
  return value;
}
