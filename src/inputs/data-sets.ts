// Where data sets lie on disk: ONNX test_data_set_* folders, .npz files, or folders of either.
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import type { TensorValue } from './element-types.js';
import { readBytes } from './files.js';
import { parseNpz } from './npy.js';
import { parseTensorProto, type NamedTensor } from './tensor-proto.js';

/** Tensors as stored, before they are matched to a model. */
export interface StoredDataSet {
  readonly name: string;
  readonly path: string;
  /** In order; `name` is '' where the file gives none and the position counts. */
  readonly inputs: readonly NamedTensor[];
  readonly outputs: readonly NamedTensor[];
}

/**
 * The files and folders behind `paths`, in order; none is opened yet.
 * @throws BlockrankError INVALID_INPUTS for a path that is missing or holds no data set
 */
export async function findDataSets(paths: readonly string[]): Promise<string[]> {
  return (await Promise.all(paths.map(expand))).flat();
}

/** Reads one path that `findDataSets` gave. */
export async function readDataSet(path: string): Promise<StoredDataSet> {
  if (path.endsWith('.npz')) {
    const arrays = parseNpz(await readBytes(path), path);
    const inputs = [...arrays].map(([name, value]: [string, TensorValue]) => ({ name, value }));
    return { name: basename(path, '.npz'), path, inputs, outputs: [] };
  }
  const files = await readdir(path);
  return {
    name: basename(path),
    path,
    inputs: await readNumbered(path, files, 'input'),
    outputs: await readNumbered(path, files, 'output'),
  };
}

async function expand(path: string): Promise<string[]> {
  const info = await stat(path).catch(() => null);
  if (!info) throw new BlockrankError('INVALID_INPUTS', `${path}: there is no such file or folder of inputs`);
  if (!info.isDirectory()) {
    if (path.endsWith('.npz')) return [path];
    throw new BlockrankError('INVALID_INPUTS', `${path}: expected an .npz file or a folder of inputs`);
  }
  const entries = (await readdir(path)).sort(naturally);
  if (entries.some((entry) => numberOf(entry, 'input') !== null)) return [path];
  const found = entries.filter((entry) => /^test_data_set_\d+$/.test(entry) || entry.endsWith('.npz'));
  if (found.length) return found.map((entry) => join(path, entry));
  throw new BlockrankError(
    'INVALID_INPUTS',
    `${path}: expected input_0.pb, test_data_set_* folders or .npz files in this folder, and found none`,
  );
}

async function readNumbered(
  folder: string,
  files: readonly string[],
  prefix: string,
): Promise<NamedTensor[]> {
  const numbered = files.filter((file) => numberOf(file, prefix) !== null).sort(naturally);
  return Promise.all(
    numbered.map(async (file, position) => {
      const path = join(folder, file);
      if (numberOf(file, prefix) !== position) {
        throw new BlockrankError(
          'INVALID_INPUTS',
          `${folder}: expected ${prefix}_${position}.pb before ${file}: files are numbered from 0 without gaps`,
        );
      }
      return parseTensorProto(await readBytes(path), path);
    }),
  );
}

function numberOf(file: string, prefix: string): number | null {
  const match = new RegExp(`^${prefix}_(\\d+)\\.pb$`).exec(file);
  return match && Number(match[1]);
}

function naturally(left: string, right: string): number {
  return left.localeCompare(right, 'en', { numeric: true });
}
