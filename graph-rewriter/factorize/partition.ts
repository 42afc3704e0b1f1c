/** How `size` features are cut into `count` blocks of `ceil(size / count)`, the last one shorter (docs/operators.md). */
export interface Partition {
  readonly size: number;
  readonly count: number;
  readonly block: number;
}

export function partition(size: number, count: number): Partition {
  return { size, count, block: Math.ceil(size / count) };
}

/** Every block holds at least one feature. */
export function fits({ size, count, block }: Partition): boolean {
  return count >= 1 && (count - 1) * block < size;
}

export function range({ size, block }: Partition, index: number): readonly [number, number] {
  return [index * block, Math.min((index + 1) * block, size)];
}
