// A TensorProto for reading: shape and type at once, numbers when asked for.
import { BlockrankError } from './errors.js';
import { type ByteRange, type ExternalFiles, isExternal } from './external.js';
import { decodeFloats, FLOAT_BYTES, isFloatType } from './floats.js';
import { dataTypeName, TENSOR } from './schema.js';
import type { FloatType } from './types.js';
import type { Message } from './wire/message.js';

/** A multiple of every element size. */
const CHUNK = 4 << 20;

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
  *floatChunks(): Generator<Float32Array> {
    if (!isFloatType(this.dtype))
      throw this.invalid(`numbers of type ${this.dtype} where floats are expected`);
    if (this.message.has(TENSOR.segment)) throw this.invalid('a segment, which no runtime supports');
    const data = this.external ? this.range() : this.rawRange();
    if (data === undefined) yield this.typedFloats(this.dtype);
    else yield* this.rangeChunks(data, this.dtype);
  }

  floats(): Float32Array {
    const all = new Float32Array(this.count);
    let offset = 0;
    for (const chunk of this.floatChunks()) {
      all.set(chunk, offset);
      offset += chunk.length;
    }
    return all;
  }

  private range(): ByteRange {
    return this.files.range(this.message);
  }

  private rawRange(): ByteRange | undefined {
    const span = this.message.all(TENSOR.rawData).at(-1);
    return span && { source: this.message.source, start: span.start, end: span.end };
  }

  private *rangeChunks({ source, start, end }: ByteRange, dtype: FloatType): Generator<Float32Array> {
    const size = FLOAT_BYTES[dtype];
    this.expectCount((end - start) / size);
    for (let at = start; at < end; at += CHUNK) {
      const bytes = source.read(at, Math.min(at + CHUNK, end));
      const chunk = new Float32Array(bytes.length / size);
      decodeFloats(bytes, dtype, chunk, 0);
      yield chunk;
    }
  }

  /** float_data, double_data, or the bits of 16-bit floats in int32_data. */
  private typedFloats(dtype: FloatType): Float32Array {
    const field = TYPED_FIELD[dtype];
    if (field === TENSOR.int32Data) {
      const bits = Uint16Array.from(this.message.ints(field));
      this.expectCount(bits.length);
      const bytes = new Uint8Array(2 * bits.length);
      bits.forEach((value, i) => bytes.set([value & 0xff, value >> 8], 2 * i));
      return decoded(bytes, dtype);
    }
    const spans = this.message.all(field);
    this.expectCount(spans.reduce((sum, span) => sum + span.end - span.start, 0) / FLOAT_BYTES[dtype]);
    const bytes = new Uint8Array(this.count * FLOAT_BYTES[dtype]);
    let offset = 0;
    for (const span of spans) {
      bytes.set(this.message.source.read(span.start, span.end), offset);
      offset += span.end - span.start;
    }
    return decoded(bytes, dtype);
  }

  private expectCount(found: number): void {
    if (found !== this.count) throw this.invalid(`data of ${found} elements`);
  }

  private invalid(found: string): BlockrankError {
    return new BlockrankError(
      'INVALID_MODEL',
      `Tensor '${this.name}' of shape [${this.dims.join(', ')}] has ${found}.`,
    );
  }
}

const TYPED_FIELD: Record<FloatType, number> = {
  float32: TENSOR.floatData,
  float64: TENSOR.doubleData,
  float16: TENSOR.int32Data,
  bfloat16: TENSOR.int32Data,
};

/** float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data. */
const DATA_FIELDS = new Set([4, 5, 6, 7, 9, 10, 11]);

function decoded(bytes: Uint8Array, dtype: FloatType): Float32Array {
  const floats = new Float32Array(bytes.length / FLOAT_BYTES[dtype]);
  decodeFloats(bytes, dtype, floats, 0);
  return floats;
}
