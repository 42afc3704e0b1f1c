// The tensor element types that onnxruntime-node can carry, with the array that holds each one in Node.
import type * as ort from 'onnxruntime-node';

/** float16 is held as raw bits. bool is one byte. */
export type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

export type NumericType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool';

/** A tensor before it is handed to ONNX Runtime; row-major. */
export interface TensorValue {
  readonly type: NumericType;
  readonly dims: readonly number[];
  readonly data: NumericArray;
}

interface ElementType {
  /** Number of the type in TensorProto.DataType. */
  readonly onnx: number;
  readonly bytes: number;
  /** Kind and size in a .npy header. */
  readonly npy: string;
  readonly view: new (buffer: ArrayBuffer) => NumericArray;
}

export const ELEMENT_TYPES: Readonly<Record<NumericType, ElementType>> = {
  float32: { onnx: 1, bytes: 4, npy: 'f4', view: Float32Array },
  uint8: { onnx: 2, bytes: 1, npy: 'u1', view: Uint8Array },
  int8: { onnx: 3, bytes: 1, npy: 'i1', view: Int8Array },
  uint16: { onnx: 4, bytes: 2, npy: 'u2', view: Uint16Array },
  int16: { onnx: 5, bytes: 2, npy: 'i2', view: Int16Array },
  int32: { onnx: 6, bytes: 4, npy: 'i4', view: Int32Array },
  int64: { onnx: 7, bytes: 8, npy: 'i8', view: BigInt64Array },
  bool: { onnx: 9, bytes: 1, npy: 'b1', view: Uint8Array },
  float16: { onnx: 10, bytes: 2, npy: 'f2', view: Uint16Array },
  float64: { onnx: 11, bytes: 8, npy: 'f8', view: Float64Array },
  uint32: { onnx: 12, bytes: 4, npy: 'u4', view: Uint32Array },
  uint64: { onnx: 13, bytes: 8, npy: 'u8', view: BigUint64Array },
};

export function isNumericType(type: string): type is NumericType {
  return Object.hasOwn(ELEMENT_TYPES, type);
}

/** Views `bytes` (little-endian elements, at any alignment) as an array of `type`; the bytes are copied. */
export function arrayFromBytes(type: NumericType, bytes: Uint8Array): NumericArray {
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return new ELEMENT_TYPES[type].view(copy.buffer);
}

export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** `float32 [1, 3, 48, 320]` */
export function describeTensor(tensor: { type: string; dims: readonly (number | string)[] }): string {
  return `${tensor.type} [${tensor.dims.join(', ')}]`;
}

export function toOrtTensor(runtime: typeof ort, value: TensorValue): ort.Tensor {
  return new runtime.Tensor(value.type, value.data as ort.Tensor.DataType, value.dims);
}
