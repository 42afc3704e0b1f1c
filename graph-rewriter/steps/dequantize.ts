// DequantizeLinear(q, scale, zero point) = (q − zero point) · scale, with one scale for all, for each index of an axis, or for each block along it.
import { isFloatType } from '../floats.js';
import { isIntegerType } from '../numbers.js';
import { dataTypeName } from '../schema.js';
import type { Tensor } from '../tensor.js';
import { roundedTo } from './cast.js';
import type { Step, View } from './view.js';

export const dequantize: Step = (node, view, parameter) => {
  const scale = parameter(1);
  const hasZero = (node.inputs[2] ?? '') !== '';
  const zero = hasZero ? parameter(2) : undefined;
  if (scale === undefined || !isFloatType(scale.dtype) || !isIntegerType(view.dtype)) return undefined;
  if (hasZero && !(zero && isIntegerType(zero.dtype) && zero.count === scale.count)) return undefined;
  const rank = view.dims.length;
  const axis = node.int('axis', 1);
  const index = scaleIndex(view, scale, axis < 0 ? axis + rank : axis, node.int('block_size', 0));
  const output = node.int('output_dtype', 0);
  const dtype = output === 0 ? scale.dtype : dataTypeName(output);
  if (index === undefined || !isFloatType(dtype)) return undefined;
  const conversion = {
    key: ` × ${scale.name}`,
    convert: scaling(scale, zero, inLogicalOrder(view, index)),
    tensors: zero ? [scale, zero] : [scale],
  };
  return { ...view, dtype, conversions: [...view.conversions, conversion, ...roundedTo(dtype)] };
};

/** Which scale belongs to a number, both by position; undefined where the scale's shape does not fit. */
function scaleIndex(
  { dims }: View,
  scale: Tensor,
  axis: number,
  block: number,
): ((position: number) => number) | undefined {
  if (block === 0 && scale.count === 1) return () => 0;
  if (axis < 0 || axis >= dims.length) return undefined;
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = dims[axis];
  if (block === 0)
    return scale.dims.length === 1 && scale.count === size
      ? (position) => Math.floor(position / inner) % size
      : undefined;
  const blocks = Math.ceil(size / block);
  const fits =
    block > 0 &&
    scale.dims.length === dims.length &&
    dims.every((dim, i) => scale.dims[i] === (i === axis ? blocks : dim));
  if (!fits) return undefined;
  return (position) => {
    const row = Math.floor(position / inner);
    const outer = Math.floor(row / size);
    return (outer * blocks + Math.floor((row % size) / block)) * inner + (position % inner);
  };
}

/** Positions come in stored order; of a transposed view two axes at most are not 1, so that it is a matrix here. */
function inLogicalOrder(view: View, index: (position: number) => number): (position: number) => number {
  if (!view.transposed) return index;
  const [rows, columns] = view.dims.filter((dim) => dim !== 1);
  return (stored) => index((stored % rows) * columns + Math.floor(stored / rows));
}

/** The scales are read when the first numbers come, once. */
function scaling(scale: Tensor, zero: Tensor | undefined, index: (position: number) => number) {
  let scales: Float32Array | undefined;
  let zeros: Float32Array | undefined;
  return (numbers: Float32Array, offset: number) => {
    scales ??= scale.numbers();
    zeros ??= zero?.numbers();
    for (let i = 0; i < numbers.length; i++) {
      const at = index(offset + i);
      numbers[i] = (numbers[i] - (zeros?.[at] ?? 0)) * scales[at];
    }
  };
}
