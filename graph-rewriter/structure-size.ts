// How many numbers each structure holds, and which ranks and block counts make sense for a shape.
import { fits, partition } from './factorize/partition.js';
import { type Shape, sizePerRank } from './factorize/size.js';
import type { StructureSpec } from './factorize/types.js';
import { FLOAT_BYTES, isFloatType } from './floats.js';
import type { FactorType } from './types.js';

export { type Shape, sizePerRank } from './factorize/size.js';

export type Blocks = Pick<StructureSpec, 'structure' | 'blocksIn' | 'blocksOut'>;

export function factorBytes(shape: Shape, spec: StructureSpec, type: FactorType): number {
  return spec.rank * sizePerRank(shape, spec) * FLOAT_BYTES[type];
}

export function weightBytes(shape: Shape, dtype: string): number {
  return shape.in * shape.out * (isFloatType(dtype) ? FLOAT_BYTES[dtype] : 0);
}

/** No matrix, or block, has more. BLAST's shared factors may use more than one block's rank. */
export function fullRank(shape: Shape, { structure, blocksIn, blocksOut }: Blocks): number {
  if (structure === 'monarch')
    return Math.min(Math.ceil(shape.in / blocksIn), Math.ceil(shape.out / blocksOut));
  return Math.min(shape.in, shape.out);
}

/** The largest rank whose factors are smaller than the weight; 0 when there is none. */
export function largestShrinkingRank(shape: Shape, dtype: string, blocks: Blocks, type: FactorType): number {
  const each = sizePerRank(shape, blocks) * FLOAT_BYTES[type];
  return Math.min(fullRank(shape, blocks), Math.ceil(weightBytes(shape, dtype) / each) - 1);
}

/** Every block holds at least one feature (docs/operators.md). */
export function blocksFit(size: number, count: number): boolean {
  return fits(partition(size, count));
}
