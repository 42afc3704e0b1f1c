// Chooses how many blocks each side of a weight is cut into.
import { BlockrankError } from './errors.js';
import type { StructureSpec } from './factorize/types.js';
import { type Shape, blocksFit } from './structure-size.js';
import type { Reason } from './types.js';

/** A block that is shorter than the others needs Pad and Slice with inputs in the portable function. */
export const RAGGED_OPSET = 11;
/** The published counts: 16 for layers of 2048 and wider, 3 to 9 below. */
const WIDE = 2048;
const WIDE_BLOCKS = 16;
const NARROW_BLOCKS = 4;
/** Longer lists help nobody. */
const LISTED = 64;

export type BlockCounts = Pick<StructureSpec, 'blocksIn' | 'blocksOut'>;
export type BlockOption = number | readonly [number, number] | undefined;

export function chooseBlocks(
  structure: StructureSpec['structure'],
  shape: Shape,
  option: BlockOption,
  opset: number,
): BlockCounts | Reason {
  if (structure === 'low-rank') return { blocksIn: 1, blocksOut: 1 };
  const wanted = Math.max(shape.in, shape.out) >= WIDE ? WIDE_BLOCKS : NARROW_BLOCKS;
  const [blocksIn, blocksOut] =
    option === undefined
      ? [defaultCount(shape.in, wanted, opset), defaultCount(shape.out, wanted, opset)]
      : typeof option === 'number'
        ? [option, option]
        : option;
  return checkBlocks(shape, { blocksIn, blocksOut }, opset) ?? { blocksIn, blocksOut };
}

/** The reason why the counts cannot be used, or undefined. */
export function checkBlocks(shape: Shape, counts: BlockCounts, opset: number): Reason | undefined {
  for (const [side, size, count] of [
    ['input', shape.in, counts.blocksIn],
    ['output', shape.out, counts.blocksOut],
  ] as const) {
    if (blocksFit(size, count) && (size % count === 0 || opset >= RAGGED_OPSET)) continue;
    const why = blocksFit(size, count)
      ? `${count} blocks do not divide ${size} ${side} features, which needs opset ${RAGGED_OPSET} and the model has ${opset}`
      : `${size} ${side} features cannot be cut into ${count} blocks of ${Math.ceil(size / count)}`;
    return { code: 'blocks-do-not-fit', message: `${why}; ${divisors(size).join(', ')} fit.` };
  }
  return undefined;
}

export function checkBlockOption(option: BlockOption): void {
  const counts: readonly number[] =
    option === undefined ? [] : typeof option === 'number' ? [option] : option;
  if (counts.length > 2 || counts.some((count) => !Number.isInteger(count) || count < 1))
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `Expected blocks to be a whole number from 1 up, or two of them for inputs and outputs; found ${JSON.stringify(option)}.`,
    );
}

/** The divisor nearest to `wanted` by ratio; where none is within a factor of 2, `wanted` itself with a shorter last block. */
function defaultCount(size: number, wanted: number, opset: number): number {
  const distance = (count: number) => Math.abs(Math.log(count / wanted));
  const nearest = divisors(size).reduce(
    (best, count) => (distance(count) <= distance(best) ? count : best),
    1,
  );
  const isNear = distance(nearest) <= Math.log(2);
  return !isNear && opset >= RAGGED_OPSET && blocksFit(size, wanted) ? wanted : nearest;
}

function divisors(size: number): number[] {
  return Array.from({ length: Math.min(size, LISTED) }, (_, i) => i + 1).filter(
    (count) => size % count === 0,
  );
}
