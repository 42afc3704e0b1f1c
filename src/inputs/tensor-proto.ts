// A TensorProto (.pb of an ONNX test data set) to a tensor.
import onnxProto, { type onnx } from 'onnx-proto';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import {
  ELEMENT_TYPES,
  arrayFromBytes,
  elementCount,
  type NumericArray,
  type NumericType,
  type TensorValue,
} from './element-types.js';

export interface NamedTensor {
  /** '' where the file gives none. */
  readonly name: string;
  readonly value: TensorValue;
}

/**
 * Decodes a serialized TensorProto.
 * @throws BlockrankError INVALID_INPUTS where the bytes are none, or hold a type that onnxruntime-node cannot take;
 * `where` names them in the message.
 */
export function parseTensorProto(bytes: Uint8Array, where: string): NamedTensor {
  const proto = decode(bytes, where);
  const type = (Object.keys(ELEMENT_TYPES) as NumericType[]).find(
    (name) => ELEMENT_TYPES[name].onnx === proto.dataType,
  );
  if (!type) {
    const known = Object.keys(ELEMENT_TYPES).join(', ');
    throw invalid(where, `expected a tensor of ${known}, found ONNX data type ${proto.dataType ?? 0}`);
  }
  if (proto.externalData?.length)
    throw invalid(where, 'expected the values in the file, found external data');
  const dims = (proto.dims ?? []).map(Number);
  const data = proto.rawData?.length ? rawElements(proto.rawData, type, where) : typedElements(proto, type);
  if (data.length !== elementCount(dims)) {
    throw invalid(
      where,
      `shape [${dims.join(', ')}] has ${elementCount(dims)} elements and ${data.length} are stored`,
    );
  }
  return { name: proto.name ?? '', value: { type, dims, data } };
}

function decode(bytes: Uint8Array, where: string): onnx.ITensorProto {
  try {
    return onnxProto.onnx.TensorProto.decode(bytes);
  } catch (cause) {
    throw new BlockrankError('INVALID_INPUTS', `${where}: expected a serialized TensorProto.`, { cause });
  }
}

function rawElements(bytes: Uint8Array, type: NumericType, where: string): NumericArray {
  if (bytes.length % ELEMENT_TYPES[type].bytes !== 0) {
    throw invalid(where, `raw_data has ${bytes.length} bytes, not a whole number of ${type} elements`);
  }
  return arrayFromBytes(type, bytes);
}

/** The values outside raw_data; onnx.proto fixes which field holds which type. */
function typedElements(proto: onnx.ITensorProto, type: NumericType): NumericArray {
  switch (type) {
    case 'float32':
      return Float32Array.from(proto.floatData ?? []);
    case 'float64':
      return Float64Array.from(proto.doubleData ?? []);
    case 'int64':
      return BigInt64Array.from((proto.int64Data ?? []).map((value) => BigInt(String(value))));
    case 'uint64':
      return BigUint64Array.from((proto.uint64Data ?? []).map((value) => BigInt(String(value))));
    case 'uint32':
      return Uint32Array.from((proto.uint64Data ?? []).map(Number));
    default: {
      const values = proto.int32Data ?? [];
      const array = new ELEMENT_TYPES[type].view(new ArrayBuffer(values.length * ELEMENT_TYPES[type].bytes));
      (array as Int32Array).set(values);
      return array;
    }
  }
}

function invalid(where: string, found: string): BlockrankError {
  return new BlockrankError('INVALID_INPUTS', `${where}: ${found}.`);
}
