// Builds lists of standard-operator nodes at a given opset: what changed its form between opsets is chosen here and nowhere else.
import type { onnx } from 'onnx-proto';
import { encodeFloats } from '../floats.js';
import { dataTypeNumber } from '../schema.js';
import type { FloatFactorType } from '../types.js';

/** AttributeProto.AttributeType */
const INT = 2;
const TENSOR = 4;
const INTS = 7;

type AttributeValue = number | readonly number[] | onnx.ITensorProto;

/** Names of values: what a node makes, what another one reads. */
export type Value = string;

export class NodeBuilder {
  readonly nodes: onnx.INodeProto[] = [];

  constructor(
    readonly opset: number,
    private readonly prefix = '',
  ) {}

  op(opType: string, inputs: readonly Value[], attributes: Record<string, AttributeValue> = {}): Value {
    const name = `${this.prefix}${opType}_${this.nodes.length}`;
    this.nodes.push({
      name,
      opType,
      input: [...inputs],
      output: [name],
      attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    });
    return name;
  }

  /** Gives the last node's output the name that readers expect. */
  renameLast(name: Value): void {
    this.nodes.at(-1)!.output = [name];
  }

  /** A vector of int64. The `value` attribute is the one form that every opset has; before 9 it held floats only. */
  ints(...values: number[]): Value {
    if (this.opset < 9) {
      const rawData = encodeFloats(Float32Array.from(values), 'float32');
      const floats = { dims: [values.length], dataType: dataTypeNumber('float32'), rawData };
      return this.op('Cast', [this.op('Constant', [], { value: floats })], { to: dataTypeNumber('int64') });
    }
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.op('Constant', [], {
      value: { dims: [values.length], dataType: dataTypeNumber('int64'), rawData },
    });
  }

  /** A scalar of the given type. */
  float(value: number, type: FloatFactorType): Value {
    const rawData = encodeFloats(Float32Array.of(value), type);
    return this.op('Constant', [], { value: { dims: [], dataType: dataTypeNumber(type), rawData } });
  }

  concat(...parts: Value[]): Value {
    return this.op('Concat', parts, { axis: 0 });
  }

  /** Size of one axis, as a vector of one. */
  dim(of: Value, axis: number): Value {
    return this.op('Gather', [this.op('Shape', [of]), this.ints(axis)], { axis: 0 });
  }

  transpose(of: Value, ...perm: number[]): Value {
    return this.op('Transpose', [of], { perm });
  }

  /** To a shape given by vectors; −1 stands for what is left, as in Reshape. */
  reshape(of: Value, ...shape: Value[]): Value {
    return this.op('Reshape', [of, shape.length === 1 ? shape[0] : this.concat(...shape)]);
  }

  /** All sizes but the last. Starts and ends are attributes before opset 10. */
  leading(of: Value): Value {
    const shape = this.op('Shape', [of]);
    if (this.opset < 10) return this.op('Slice', [shape], { axes: [0], starts: [0], ends: [-1] });
    return this.op('Slice', [shape, this.ints(0), this.ints(-1), this.ints(0)]);
  }

  /** The first `count` columns of a matrix; needs opset 10. */
  firstColumns(of: Value, count: Value): Value {
    return this.op('Slice', [of, this.ints(0), count, this.ints(1)]);
  }

  /** Zeros after the end of one axis of `rank`; needs opset 11. */
  padEnd(of: Value, rank: number, axis: number, count: Value): Value {
    const before = this.ints(...Array<number>(rank + axis).fill(0));
    const after = axis === rank - 1 ? [] : [this.ints(...Array<number>(rank - 1 - axis).fill(0))];
    return this.op('Pad', [of, this.concat(before, count, ...after)]);
  }

  /**
   * To leading sizes that may be zero. From opset 14 on, Reshape can take a 0 literally; before, a 0 means "as in the
   * input", so a zero is passed as −1, "what is left": right for one zero, not for two in one shape.
   */
  reshapeLeading(of: Value, leading: Value, last: Value): Value {
    if (this.opset >= 14) return this.op('Reshape', [of, this.concat(leading, last)], { allowzero: 1 });
    const isZero = this.op('Equal', [leading, this.ints(0)]);
    const one = this.op('Cast', [isZero], { to: dataTypeNumber('int64') });
    return this.reshape(of, this.op('Sub', [leading, one]), last);
  }
}

function attribute(name: string, value: AttributeValue): onnx.IAttributeProto {
  if (typeof value === 'number') return { name, type: INT, i: value };
  return isInts(value) ? { name, type: INTS, ints: [...value] } : { name, type: TENSOR, t: value };
}

function isInts(value: readonly number[] | onnx.ITensorProto): value is readonly number[] {
  return Array.isArray(value);
}
