// Shorthand for the nodes and values that taps consist of.
import onnxProto, { type onnx as Onnx } from 'onnx-proto';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;
export const { DataType } = onnx.TensorProto;

export const PREFIX = 'blockrank.calibration';
/** A value of the main graph that taps in any body may read, too. */
export const shared = (role: string) => `${PREFIX}.${role}`;

export function op(
  opType: string,
  input: string[],
  output: string,
  attribute: Onnx.IAttributeProto[] = [],
): Onnx.INodeProto {
  return { opType, name: output, input, output: [output], attribute };
}

export function int(name: string, i: number): Onnx.IAttributeProto {
  return { name, type: AttributeType.INT, i };
}

export function ints(name: string, values: readonly number[]): Onnx.IAttributeProto {
  return { name, type: AttributeType.INTS, ints: [...values] };
}

export function graph(name: string, g: Onnx.IGraphProto): Onnx.IAttributeProto {
  return { name, type: AttributeType.GRAPH, g };
}

export function tensor(name: string, t: Onnx.ITensorProto): Onnx.IAttributeProto {
  return { name, type: AttributeType.TENSOR, t };
}

/** int64; a scalar where `numbers` is none of a list. */
export function constant(name: string, numbers: number | readonly number[]): Onnx.INodeProto {
  const dims = typeof numbers === 'number' ? [] : [numbers.length];
  const int64Data = [numbers].flat();
  return op('Constant', [], name, [tensor('value', { dataType: DataType.INT64, dims, int64Data })]);
}

/** One float32 zero. */
export function zero(name: string, dims: number[] = []): Onnx.INodeProto {
  return op('Constant', [], name, [tensor('value', { dataType: DataType.FLOAT, dims, floatData: [0] })]);
}

/** Of any shape where no dimensions are given. */
export function value(name: string, elemType: number, dims?: readonly number[]): Onnx.IValueInfoProto {
  const shape = dims && { dim: dims.map((dimValue) => ({ dimValue })) };
  return { name, type: { tensorType: shape ? { elemType, shape } : { elemType } } };
}
