// Which indices factors have in common.
import type { Factor, Index } from './form.js';

export type Indices = ReadonlySet<Index>;

export function indices({ axes }: Factor): Indices {
  return new Set(axes.flat());
}

export function without(a: Iterable<Index>, ...others: Iterable<Index>[]): Index[] {
  const gone = new Set(others.flatMap((other) => [...other]));
  return [...a].filter((index) => !gone.has(index));
}

export function common(a: Iterable<Index>, b: Indices): Index[] {
  return [...a].filter((index) => b.has(index));
}

export function covers(a: Indices, b: Iterable<Index>): boolean {
  return [...b].every((index) => a.has(index));
}

export function isEqual(a: Iterable<Index>, b: Iterable<Index>): boolean {
  const [left, right] = [new Set(a), new Set(b)];
  return left.size === right.size && covers(left, right);
}

/** `part` comes first in `whole`, in this order. */
export function isPrefix(part: readonly Index[], whole: readonly Index[]): boolean {
  return part.every((index, i) => index === whole[i]);
}

/** All orders of a short list. */
export function* permutations<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield [];
  for (const [i, item] of items.entries())
    for (const rest of permutations(items.filter((_, j) => j !== i))) yield [item, ...rest];
}
