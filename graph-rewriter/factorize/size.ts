import { fits, partition } from './partition.js';
import type { StructureSpec } from './types.js';

export interface Shape {
  readonly in: number;
  readonly out: number;
}

/** Numbers that the factors of a structure hold for a weight of this shape. */
export function factorSize(shape: Shape, spec: StructureSpec): number {
  return spec.rank * sizePerRank(shape, spec);
}

/** The largest rank at which the factors hold fewer numbers than the weight; 0 when there is none. */
export function largestRank(shape: Shape, spec: Omit<StructureSpec, 'rank'>): number {
  return Math.ceil((shape.in * shape.out) / sizePerRank(shape, spec)) - 1;
}

/** Does every block of the structure hold at least one feature of this shape? */
export function blocksFit(shape: Shape, spec: Pick<StructureSpec, 'blocksIn' | 'blocksOut'>): boolean {
  return fits(partition(shape.in, spec.blocksIn)) && fits(partition(shape.out, spec.blocksOut));
}

/** Numbers in all factors for each unit of rank (Monarch: of a block's rank). */
export function sizePerRank(
  shape: Shape,
  { structure, blocksIn, blocksOut }: Omit<StructureSpec, 'rank'>,
): number {
  switch (structure) {
    case 'low-rank':
      return shape.in + shape.out;
    case 'blast':
      return shape.in + shape.out + blocksIn * blocksOut;
    case 'monarch':
      return shape.in * blocksOut + shape.out * blocksIn;
  }
}
