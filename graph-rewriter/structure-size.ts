// How many numbers each structure holds, and which ranks and block counts make sense for a shape.
import { fits, partition } from './factorize/partition.js';
import { type Shape, sizePerRank } from './factorize/size.js';
import type { StructureSpec } from './factorize/types.js';
import { FLOAT_BYTES, isFloatType } from './floats.js';
import type { FactorType, LayerInfo } from './types.js';

export { type Shape, sizePerRank } from './factorize/size.js';

export type Blocks = Pick<StructureSpec, 'structure' | 'blocksIn' | 'blocksOut'>;

export function factorBytes(shape: Shape, spec: StructureSpec, type: FactorType): number {
  return spec.rank * sizePerRank(shape, spec) * FLOAT_BYTES[type];
}

/** Of the numbers as stored: what factors have to be smaller than. */
export function weightBytes({ shape, dtype, stored }: Pick<LayerInfo, 'shape' | 'dtype' | 'stored'>): number {
  if (stored !== undefined) return stored.bytes;
  return (shape?.in ?? 0) * (shape?.out ?? 0) * (isFloatType(dtype) ? FLOAT_BYTES[dtype] : 0);
}

/** No matrix, or block, has more. BLAST's shared factors may use more than one block's rank. */
export function fullRank(shape: Shape, { structure, blocksIn, blocksOut }: Blocks): number {
  if (structure === 'monarch')
    return Math.min(Math.ceil(shape.in / blocksIn), Math.ceil(shape.out / blocksOut));
  return Math.min(shape.in, shape.out);
}

/** The largest rank whose factors are smaller than the weight; 0 when there is none. */
export function largestShrinkingRank(
  layer: Pick<LayerInfo, 'shape' | 'dtype' | 'stored'>,
  blocks: Blocks,
  type: FactorType,
): number {
  const shape = layer.shape ?? { in: 0, out: 0 };
  const each = sizePerRank(shape, blocks) * FLOAT_BYTES[type];
  return Math.min(fullRank(shape, blocks), Math.ceil(weightBytes(layer) / each) - 1);
}

/** Every block holds at least one feature (docs/operators.md). */
export function blocksFit(size: number, count: number): boolean {
  return fits(partition(size, count));
}
