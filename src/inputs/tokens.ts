// Flat files of token ids as model inputs: the form in which calibration and test texts are handed around.
import { extname } from 'node:path';
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import {
  arrayFromBytes,
  ELEMENT_TYPES,
  toOrtTensor,
  type NumericArray,
  type NumericType,
} from './element-types.js';
import { loadOnnxRuntime } from '../../graph-rewriter/onnxruntime.js';
import { readBytes } from './files.js';
import type { ModelInput } from './model-inputs.js';
import { parseNpy } from './npy.js';

export interface TokenFile {
  /** Little-endian integers without a header (`.i32`, `.u32`, `.i64`, `.u16`), one row of tokens after another, or a `.npy` of [rows, tokens]. */
  readonly path: string;
  /** Tokens in a row; a `.npy` says it itself. */
  readonly rowLength?: number;
  /** A file of as many integers as there are rows: the tokens of each row that count; what follows is padding. */
  readonly lengths?: string;
  /** Rows of one run; 8 when absent. */
  readonly batch?: number;
  /** Only the first rows; all when absent. */
  readonly rows?: number;
}

const TYPES: Readonly<Record<string, NumericType>> = {
  '.i32': 'int32',
  '.u32': 'uint32',
  '.i64': 'int64',
  '.u16': 'uint16',
};
const INTEGERS: readonly string[] = ['int64', 'int32'];
const BATCH = 8;

export function isTokenFile(path: string): boolean {
  return extname(path) in TYPES || extname(path) === '.npy';
}

/** Rows of token ids without their padding. @throws BlockrankError INVALID_INPUTS, IO */
export async function readTokenRows({ path, rowLength, lengths, rows }: TokenFile): Promise<number[][]> {
  const { data, length } = await readRows(path, rowLength);
  const count = data.length / length;
  const used = lengths === undefined ? undefined : Array.from((await read(lengths)).data, Number);
  if (used !== undefined && used.length !== count)
    throw invalid(`${lengths} has ${used.length} lengths for the ${count} rows of ${path}`);
  const bad = used?.findIndex((value) => !(value >= 0 && value <= length)) ?? -1;
  if (bad >= 0)
    throw invalid(
      `${lengths} says ${used![bad]} for row ${bad}, and the rows of ${path} have ${length} tokens`,
    );
  return Array.from({ length: Math.min(count, rows ?? count) }, (_, row) =>
    Array.from(data.subarray(row * length, row * length + (used?.[row] ?? length)), Number),
  );
}

/**
 * Feeds for a model of `inputs`: tokens go to `input_ids`, or to the one integer input of two axes; masks get 1 where there is
 * a token and 0 at padding, `position_ids` count from 0, other integers and flags are 0, and caches of keys and values are
 * empty. Rows of like length run together, so that there is little padding.
 */
export async function* tokenFeeds(
  inputs: readonly ModelInput[],
  file: TokenFile,
): AsyncGenerator<Record<string, ort.Tensor>> {
  const ids = idsInput(inputs, file.path);
  const rows = (await readTokenRows(file)).filter(({ length }) => length > 0);
  const sorted = rows.sort((a, b) => a.length - b.length);
  const size = file.batch ?? BATCH;
  for (let start = 0; start < sorted.length; start += size)
    yield feeds(inputs, ids, sorted.slice(start, start + size), file.path);
}

function idsInput(inputs: readonly ModelInput[], path: string): ModelInput {
  const matrices = inputs.filter(({ type, shape }) => INTEGERS.includes(type) && (shape?.length ?? 2) === 2);
  const found = matrices.find(({ name }) => name === 'input_ids') ?? matrices[0];
  if (found !== undefined && (found.name === 'input_ids' || matrices.length === 1)) return found;
  const listed = inputs.map(({ name, type }) => `${name} (${type})`).join(', ');
  throw invalid(`${path} holds tokens, and no input of the model is plainly theirs; it has ${listed}`);
}

function feeds(inputs: readonly ModelInput[], ids: ModelInput, rows: readonly number[][], path: string) {
  const length = Math.max(...rows.map((row) => row.length));
  const fill = (value: (row: number, at: number) => number, input: ModelInput) => {
    const flat = rows.flatMap((_, row) => Array.from({ length }, (_, at) => value(row, at)));
    return tensor(input, [rows.length, length], flat);
  };
  const make = (input: ModelInput): ort.Tensor => {
    const { name, type, shape } = input;
    if (name === ids.name) return fill((row, at) => rows[row][at] ?? 0, input);
    if (name.endsWith('mask')) return fill((row, at) => (at < rows[row].length ? 1 : 0), input);
    if (name.endsWith('position_ids')) return fill((_, at) => at, input);
    if (INTEGERS.includes(type) && (shape === null || shape.length === 2)) return fill(() => 0, input);
    if (type === 'bool') return tensor(input, [1], [0]);
    if (name.startsWith('past') && shape !== null) return emptyCache(input, shape, rows.length);
    throw invalid(`${path} holds tokens alone, and the model also needs '${name}'; use .npz files instead`);
  };
  return Object.fromEntries(inputs.map((input) => [input.name, make(input)]));
}

/** [batch, heads, 0, channels]: the first open axis is the batch, the others have no entries yet. */
function emptyCache(input: ModelInput, shape: readonly (number | string)[], batch: number): ort.Tensor {
  const first = shape.findIndex((dim) => typeof dim === 'string');
  return tensor(
    input,
    shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === first ? batch : 0)),
    [],
  );
}

function tensor({ type }: ModelInput, dims: readonly number[], values: readonly number[]): ort.Tensor {
  const make: Record<string, () => NumericArray> = {
    int64: () => BigInt64Array.from(values, BigInt),
    int32: () => Int32Array.from(values),
    float32: () => Float32Array.from(values),
    float16: () => Uint16Array.from(values, (value) => (value === 0 ? 0 : 0x3c00)),
    bool: () => Uint8Array.from(values),
  };
  if (!(type in make)) throw invalid(`an input of type ${type} cannot be made from tokens`);
  return toOrtTensor(loadOnnxRuntime(), { type, dims, data: make[type]() });
}

async function readRows(path: string, rowLength: number | undefined) {
  const { data, dims } = await read(path);
  const length = rowLength ?? (dims.length === 2 ? dims[1] : undefined);
  if (length === undefined)
    throw invalid(`${path} has no header: say how many tokens a row has (rowLength, --row-length)`);
  if (data.length === 0 || data.length % length !== 0)
    throw invalid(`${path} has ${data.length} tokens, which are no rows of ${length}`);
  return { data, length };
}

async function read(path: string): Promise<{ data: NumericArray; dims: readonly number[] }> {
  const bytes = await readBytes(path);
  if (extname(path) === '.npy') return parseNpy(bytes, path);
  const type = TYPES[extname(path)];
  if (type === undefined) throw invalid(`${path}: expected one of ${Object.keys(TYPES).join(', ')} or .npy`);
  if (bytes.length % ELEMENT_TYPES[type].bytes !== 0)
    throw invalid(`${path} has ${bytes.length} bytes, which are no ${type} numbers`);
  const data = arrayFromBytes(type, bytes);
  return { data, dims: [data.length] };
}

function invalid(message: string): BlockrankError {
  return new BlockrankError('INVALID_INPUTS', message);
}
