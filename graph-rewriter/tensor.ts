// A TensorProto for reading: shape and type at once, numbers when asked for.
import { BlockrankError } from './errors.js';
import { type ByteRange, type ExternalFiles, isExternal } from './external.js';
import { decodeNumbers, isNumberType, numberBytes, type NumberType } from './numbers.js';
import { dataTypeName, TENSOR } from './schema.js';
import type { Message } from './wire/message.js';

/** A multiple of every element size. */
const CHUNK = 4 << 20;
/** Longest Float32Array of Node 20. */
const MAX_ELEMENTS = 2 ** 32 - 1;

export class Tensor {
  readonly dims: readonly number[];
  readonly dtype: string;
  readonly external: boolean;

  constructor(
    readonly message: Message,
    /** The value's name, which for a Constant node is not the tensor's own. */
    readonly name: string,
    private readonly files: ExternalFiles,
  ) {
    this.dims = message.ints(TENSOR.dims);
    this.dtype = dataTypeName(message.int(TENSOR.dataType));
    this.external = isExternal(message);
    if (this.dims.some((dim) => dim < 0)) throw this.invalid('a negative dimension');
    if (!Number.isSafeInteger(this.count * 16)) throw this.invalid('more elements than a file can hold');
  }

  get count(): number {
    return this.dims.reduce((product, dim) => product * dim, 1);
  }

  /** Bytes as stored; for numbers of types other than float, the bytes of the fields that hold them. */
  get bytes(): number {
    if (this.external) return this.range().end - this.range().start;
    return this.message.spans
      .filter((span) => DATA_FIELDS.has(span.field))
      .reduce((sum, span) => sum + (span.end - span.start), 0);
  }

  /** All elements in storage order, in pieces of a few megabytes. Throws INVALID_MODEL when the data has another length than the shape says. */
  *numberChunks(): Generator<Float32Array> {
    if (!isNumberType(this.dtype)) throw this.invalid(`type ${this.dtype}, which is not read as numbers`);
    if (this.message.has(TENSOR.segment)) throw this.invalid('a segment, which no runtime supports');
    const data = this.external ? this.range() : this.rawRange();
    if (data === undefined) yield this.typedNumbers(this.dtype);
    else yield* this.rangeChunks(data, this.dtype);
  }

  numbers(): Float32Array {
    const all = this.allocate();
    let offset = 0;
    for (const chunk of this.numberChunks()) {
      all.set(chunk, offset);
      offset += chunk.length;
    }
    return all;
  }

  /** Room for all elements, where the stored data is large enough to hold them: a shape alone must not take memory. */
  allocate(): Float32Array {
    // Two 4-bit elements to a byte at most.
    if (this.count > 2 * this.bytes)
      throw this.invalid(
        isNumberType(this.dtype)
          ? `data of ${(2 * this.bytes) / numberBytes(2, this.dtype)} elements`
          : `data of ${this.bytes} bytes`,
      );
    if (this.count > MAX_ELEMENTS)
      throw new BlockrankError(
        'UNSUPPORTED_MODEL',
        `Tensor '${this.name}' of shape [${this.dims.join(', ')}] has more than ${MAX_ELEMENTS} elements. Exclude its layer.`,
      );
    return new Float32Array(this.count);
  }

  /** Of int64, as shapes and axes are given: small tensors. */
  integers(): number[] {
    const raw = this.external ? this.range() : this.rawRange();
    if (raw === undefined) return this.message.clampedInts(TENSOR.int64Data);
    const bytes = raw.source.read(raw.start, raw.end);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Array.from({ length: Math.floor(bytes.length / 8) }, (_, i) =>
      Number(view.getBigInt64(8 * i, true)),
    );
  }

  private range(): ByteRange {
    return this.files.range(this.message);
  }

  private rawRange(): ByteRange | undefined {
    const span = this.message.all(TENSOR.rawData).at(-1);
    return span && { source: this.message.source, start: span.start, end: span.end };
  }

  private *rangeChunks({ source, start, end }: ByteRange, dtype: NumberType): Generator<Float32Array> {
    this.expectBytes(end - start, dtype);
    // Two to a byte at most, and no more than there are: an odd count of 4-bit numbers leaves half a byte.
    const perChunk = Math.floor(CHUNK / numberBytes(2, dtype)) * 2;
    for (let first = 0; first < this.count; first += perChunk) {
      const chunk = new Float32Array(Math.min(perChunk, this.count - first));
      const at = start + numberBytes(first, dtype);
      decodeNumbers(source.read(at, at + numberBytes(chunk.length, dtype)), dtype, chunk);
      yield chunk;
    }
  }

  /** float_data, double_data; smaller numbers, and the bits of 16-bit floats, stand in int32_data one by one (4-bit ones as packed bytes). */
  private typedNumbers(dtype: NumberType): Float32Array {
    const field =
      dtype === 'float32' ? TENSOR.floatData : dtype === 'float64' ? TENSOR.doubleData : undefined;
    const bytes = field === undefined ? this.int32Bytes(dtype) : this.fieldBytes(field);
    this.expectBytes(bytes.length, dtype);
    const numbers = new Float32Array(this.count);
    decodeNumbers(bytes, dtype, numbers);
    return numbers;
  }

  private int32Bytes(dtype: NumberType): Uint8Array {
    const values = this.message.ints(TENSOR.int32Data);
    const size = Math.floor(numberBytes(2, dtype) / 2) || 1;
    const bytes = new Uint8Array(size * values.length);
    values.forEach((value, i) => {
      for (let b = 0; b < size; b++) bytes[size * i + b] = value >> (8 * b);
    });
    return bytes;
  }

  private fieldBytes(field: number): Uint8Array {
    const spans = this.message.all(field);
    const bytes = new Uint8Array(spans.reduce((sum, span) => sum + span.end - span.start, 0));
    let offset = 0;
    for (const span of spans) {
      bytes.set(this.message.source.read(span.start, span.end), offset);
      offset += span.end - span.start;
    }
    return bytes;
  }

  private expectBytes(found: number, dtype: NumberType): void {
    if (found === numberBytes(this.count, dtype)) return;
    throw this.invalid(`data of ${(2 * found) / numberBytes(2, dtype)} elements`);
  }

  private invalid(found: string): BlockrankError {
    return new BlockrankError(
      'INVALID_MODEL',
      `Tensor '${this.name}' of shape [${this.dims.join(', ')}] has ${found}.`,
    );
  }
}

/** float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data. */
const DATA_FIELDS = new Set([4, 5, 6, 7, 9, 10, 11]);
