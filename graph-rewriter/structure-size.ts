// How many numbers each structure holds, and which ranks and block counts make sense for a shape.
import { fits, partition } from './factorize/partition.js';
import { largestRank, type Shape, sizePerRank } from './factorize/size.js';
import type { StructureSpec } from './factorize/types.js';
import { FLOAT_BYTES, isFloatType } from './floats.js';
import { SCALE_TYPE } from './stored-factors.js';
import type { FactorType, LayerInfo } from './types.js';

export { type Shape, sizePerRank } from './factorize/size.js';

export type Blocks = Pick<StructureSpec, 'structure' | 'blocksIn' | 'blocksOut'>;

/** Bytes of factors of a type: so many for each unit of rank, and so many whatever the rank. */
export function factorCost(
  shape: Shape,
  blocks: Blocks,
  type: FactorType,
): { perRank: number; fixed: number } {
  const numbers = sizePerRank(shape, blocks);
  if (type !== 'int8') return { perRank: numbers * FLOAT_BYTES[type], fixed: 0 };
  const { structure, blocksIn, blocksOut } = blocks;
  const bytes = FLOAT_BYTES[SCALE_TYPE];
  const coupling = structure === 'blast' ? blocksIn * blocksOut : 0;
  const scalesOfV = structure === 'monarch' ? blocksIn * blocksOut : blocksIn;
  const scalesOfU = structure === 'monarch' ? shape.out * blocksIn : shape.out;
  return { perRank: numbers - coupling + bytes * (coupling + scalesOfV), fixed: bytes * scalesOfU };
}

export function factorBytes(shape: Shape, spec: StructureSpec, type: FactorType): number {
  const { perRank, fixed } = factorCost(shape, spec, type);
  return spec.rank * perRank + fixed;
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

/** The largest rank whose factors are smaller than the weight, in bytes and in numbers; 0 when there is none. */
export function largestShrinkingRank(
  layer: Pick<LayerInfo, 'shape' | 'dtype' | 'stored'>,
  blocks: Blocks,
  type: FactorType,
): number {
  const shape = layer.shape ?? { in: 0, out: 0 };
  const { perRank, fixed } = factorCost(shape, blocks, type);
  const bytes = Math.ceil((weightBytes(layer) - fixed) / perRank) - 1;
  return Math.max(0, Math.min(fullRank(shape, blocks), largestRank(shape, blocks), bytes));
}

/** Every block holds at least one feature (docs/operators.md). */
export function blocksFit(size: number, count: number): boolean {
  return fits(partition(size, count));
}
