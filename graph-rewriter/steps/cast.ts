// Cast between float types.
import { decodeFloats, encodeFloats, isFloatType } from '../floats.js';
import { dataTypeName } from '../schema.js';
import type { FloatType } from '../types.js';
import type { Conversion, Step } from './view.js';

export const cast: Step = (node, view) => {
  const to = dataTypeName(node.int('to', 0));
  if (!isFloatType(to) || !isFloatType(view.dtype)) return undefined;
  return { ...view, dtype: to, conversions: [...view.conversions, ...roundedTo(to)] };
};

/** Numbers are read as float32: wider types change nothing. */
export function roundedTo(type: FloatType): Conversion[] {
  if (type === 'float32' || type === 'float64') return [];
  const convert = (numbers: Float32Array) => decodeFloats(encodeFloats(numbers, type), type, numbers, 0);
  return [{ key: ` as ${type}`, convert, tensors: [] }];
}
