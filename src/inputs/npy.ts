// NumPy's .npy format, versions 1 to 3 (numpy.lib.format), and .npz archives of it.
import { unzipSync } from 'fflate';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import {
  ELEMENT_TYPES,
  arrayFromBytes,
  elementCount,
  type NumericType,
  type TensorValue,
} from './element-types.js';

interface NpyHeader {
  readonly type: NumericType;
  readonly bigEndian: boolean;
  readonly fortranOrder: boolean;
  readonly dims: readonly number[];
  readonly offset: number;
}

/**
 * Every array of an .npz archive by its name.
 * @throws BlockrankError INVALID_INPUTS where the bytes are no such archive; `where` names it in the message.
 */
export function parseNpz(bytes: Uint8Array, where: string): Map<string, TensorValue> {
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(bytes);
  } catch (cause) {
    throw invalid(where, 'expected a zip archive of .npy arrays as numpy.savez writes it', cause);
  }
  const arrays = new Map<string, TensorValue>();
  for (const [name, content] of Object.entries(entries)) {
    if (!name.endsWith('.npy')) throw invalid(where, `found the entry '${name}', which is no .npy array`);
    arrays.set(name.slice(0, -4), parseNpy(content, `${where}, array '${name.slice(0, -4)}'`));
  }
  return arrays;
}

/** One .npy array, converted to little-endian row-major. Errors as in `parseNpz`. */
export function parseNpy(bytes: Uint8Array, where: string): TensorValue {
  const header = parseHeader(bytes, where);
  const { bytes: size } = ELEMENT_TYPES[header.type];
  const expected = elementCount(header.dims) * size;
  const content = bytes.slice(header.offset);
  if (content.length !== expected) {
    throw invalid(
      where,
      `its header promises [${header.dims.join(', ')}] of ${header.type}, ${expected} bytes, and ${content.length} follow`,
    );
  }
  if (header.bigEndian) swapBytes(content, size);
  const ordered = header.fortranOrder ? toRowMajor(content, header.dims, size) : content;
  return { type: header.type, dims: header.dims, data: arrayFromBytes(header.type, ordered) };
}

function parseHeader(bytes: Uint8Array, where: string): NpyHeader {
  const magic = String.fromCharCode(...bytes.subarray(0, 6));
  const major = bytes[6];
  if (magic !== '\x93NUMPY' || !(major >= 1 && major <= 3)) {
    throw invalid(where, 'expected the .npy format, version 1, 2 or 3');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = major === 1 ? 10 : 12;
  if (bytes.length < start) throw invalid(where, 'the .npy header is cut off');
  const offset = start + (major === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  const text = new TextDecoder().decode(bytes.subarray(start, offset));
  const descr = /'descr':\s*'([<>|=]?)(\w+)'/.exec(text);
  const order = /'fortran_order':\s*(True|False)/.exec(text);
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(text);
  if (!descr || !order || !shape) {
    throw invalid(where, `expected a plain array, found the header ${text.trim()}`);
  }
  const type = (Object.keys(ELEMENT_TYPES) as NumericType[]).find((t) => ELEMENT_TYPES[t].npy === descr[2]);
  if (!type) {
    const known = Object.values(ELEMENT_TYPES).map((entry) => entry.npy);
    throw invalid(where, `its element type '${descr[2]}' is not one of ${known.join(', ')}`);
  }
  const dims = shape[1]
    .split(',')
    .filter((dim) => dim.trim() !== '')
    .map(Number);
  return { type, bigEndian: descr[1] === '>', fortranOrder: order[1] === 'True', dims, offset };
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let start = 0; start < bytes.length; start += size) bytes.subarray(start, start + size).reverse();
}

/** Column-major elements of `size` bytes in row-major order. */
function toRowMajor(bytes: Uint8Array, dims: readonly number[], size: number): Uint8Array {
  const result = new Uint8Array(bytes.length);
  const strides: number[] = [];
  let stride = 1;
  for (const dim of dims) {
    strides.push(stride);
    stride *= dim;
  }
  const index = dims.map(() => 0);
  for (let target = 0; target < result.length; target += size) {
    const source = size * index.reduce((sum, i, axis) => sum + i * strides[axis], 0);
    result.set(bytes.subarray(source, source + size), target);
    for (let axis = dims.length - 1; axis >= 0 && ++index[axis] === dims[axis]; axis--) index[axis] = 0;
  }
  return result;
}

function invalid(where: string, found: string, cause?: unknown): BlockrankError {
  return new BlockrankError('INVALID_INPUTS', `${where}: ${found}.`, { cause });
}
