// Builds the nodes that are put behind a model's own to compute gradients.
import onnxProto, { type onnx as Onnx } from 'onnx-proto';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;
const { DataType } = onnx.TensorProto;

/** The rules use operators in the forms that they have from here on (axes of ReduceSum, Squeeze and Split as inputs). */
export const OLDEST_OPSET = 13;
/** ONNX Runtime's own operators: FusedMatMul transposes the last two axes of a tensor of any rank. */
export const CONTRIB_DOMAIN = 'com.microsoft';

const PREFIX = 'blockrank.gradient';
const CAST_LIKE = 15;
const AXES_INPUT = 18;

/** Names of values. */
export type Value = string;

export class GradientBuilder {
  readonly nodes: Onnx.INodeProto[] = [];
  private count = 0;
  private readonly made = new Map<string, Value>();

  constructor(readonly opset: number) {}

  /** A node of one output; a second one that would compute the same is the first one. */
  op(opType: string, inputs: readonly Value[], attribute: Onnx.IAttributeProto[] = [], domain = ''): Value {
    const key = JSON.stringify([opType, inputs, attribute, domain]);
    const known = this.made.get(key);
    if (known !== undefined) return known;
    const [value] = this.ops(opType, inputs, 1, attribute, domain);
    this.made.set(key, value);
    return value;
  }

  /** A node of several outputs. */
  ops(
    opType: string,
    input: readonly Value[],
    outputs: number,
    attribute: Onnx.IAttributeProto[] = [],
    domain = '',
  ): Value[] {
    const name = `${PREFIX}.${opType}.${this.count++}`;
    const output = Array.from({ length: outputs }, (_, i) => (i === 0 ? name : `${name}.${i}`));
    this.nodes.push({ name, opType, domain, input: [...input], output, attribute });
    return output;
  }

  /** The value under a name of its own: a graph's output. */
  named(name: string, value: Value): void {
    this.nodes.push({ name, opType: 'Identity', input: [value], output: [name] });
  }

  /** A vector of int64. */
  ints(...values: number[]): Value {
    return this.constant({ dataType: DataType.INT64, dims: [values.length], int64Data: values });
  }

  /** A scalar of int64. */
  int(value: number): Value {
    return this.constant({ dataType: DataType.INT64, dims: [], int64Data: [value] });
  }

  /** A scalar of the element type of `like`. */
  scalar(value: number, like: Value): Value {
    return this.floats([], [value], like);
  }

  vector(values: readonly number[], like: Value): Value {
    return this.floats([values.length], values, like);
  }

  private floats(dims: number[], floatData: readonly number[], like: Value): Value {
    const t = { dataType: DataType.FLOAT, dims, floatData: [...floatData] };
    const constant = this.constant(t);
    return this.opset < CAST_LIKE ? constant : this.op('CastLike', [constant, like]);
  }

  /** The value as numbers of the type of `like`; before opset 15, of float32. */
  castLike(value: Value, like: Value): Value {
    return this.opset < CAST_LIKE ? this.float(value) : this.op('CastLike', [value, like]);
  }

  float(value: Value): Value {
    return this.op('Cast', [value], [int('to', DataType.FLOAT)]);
  }

  add = (a: Value, b: Value) => this.op('Add', [a, b]);
  sub = (a: Value, b: Value) => this.op('Sub', [a, b]);
  mul = (a: Value, b: Value) => this.op('Mul', [a, b]);
  div = (a: Value, b: Value) => this.op('Div', [a, b]);
  neg = (a: Value) => this.op('Neg', [a]);
  shape = (a: Value) => this.op('Shape', [a]);
  reshape = (a: Value, shape: Value) => this.op('Reshape', [a, shape]);
  /** The value with the shape of `like`, which has as many elements. */
  reshapeLike = (a: Value, like: Value) => this.reshape(a, this.shape(like));

  /** Sum over the axes, which stay as axes of length 1. */
  sum(a: Value, axes: readonly number[]): Value {
    return this.op('ReduceSum', [a, this.ints(...axes)], [int('keepdims', 1)]);
  }

  mean(a: Value, axes: readonly number[]): Value {
    if (this.opset >= AXES_INPUT) return this.op('ReduceMean', [a, this.ints(...axes)], [int('keepdims', 1)]);
    return this.op('ReduceMean', [a], [ints('axes', axes), int('keepdims', 1)]);
  }

  /** Length of one axis, as a vector of one. */
  length(a: Value, axis: number): Value {
    return this.op('Gather', [this.shape(a), this.ints(axis)], [int('axis', 0)]);
  }

  /** a·b over the last two axes, either transposed first. */
  matmul(a: Value, b: Value, transA = false, transB = false): Value {
    return this.op('FusedMatMul', [a, b], [int('transA', +transA), int('transB', +transB)], CONTRIB_DOMAIN);
  }

  /** Sums over the axes along which a value of the shape of `like` was repeated to give `a` its shape. */
  reduceTo(a: Value, like: Value): Value {
    const wanted = this.shape(like);
    const found = this.shape(a);
    const missing = this.sub(this.op('Shape', [found]), this.op('Shape', [wanted]));
    const ones = this.op('Expand', [this.ints(1), missing]);
    const aligned = this.op('Concat', [ones, wanted], [int('axis', 0)]);
    const differs = this.op('Not', [this.op('Equal', [aligned, found])]);
    const axes = this.op('Squeeze', [this.op('NonZero', [differs]), this.ints(0)]);
    const sum = this.op('ReduceSum', [a, axes], [int('keepdims', 1), int('noop_with_empty_axes', 1)]);
    return this.reshape(sum, wanted);
  }

  private constant(t: Onnx.ITensorProto): Value {
    return this.op('Constant', [], [{ name: 'value', type: AttributeType.TENSOR, t }]);
  }
}

export function int(name: string, i: number): Onnx.IAttributeProto {
  return { name, type: AttributeType.INT, i };
}

export function ints(name: string, values: readonly number[]): Onnx.IAttributeProto {
  return { name, type: AttributeType.INTS, ints: [...values] };
}

export function float(name: string, f: number): Onnx.IAttributeProto {
  return { name, type: AttributeType.FLOAT, f };
}

export function string(name: string, s: string): Onnx.IAttributeProto {
  return { name, type: AttributeType.STRING, s: new TextEncoder().encode(s) };
}
