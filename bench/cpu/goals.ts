// The goals of the CPU kernels, each as a value and a least value in one cell.
import type { Cell } from './cells.js';
import { LAYERS } from '../layers.js';
import type { Variant } from './models.js';

export interface Goal {
  readonly name: string;
  /** What was reached and what is asked for; undefined where the goal says nothing about the cell. */
  readonly judge: (cell: Cell) => { readonly value: number; readonly least: number } | undefined;
}

/** Speed of one variant over another. */
export function speed({ milliseconds: t }: Cell, variant: Variant, over: Variant): number {
  return (t[over] ?? NaN) / (t[variant] ?? NaN);
}

/** BLAST's operations over those of two plain products of its rank. */
function extraOperations(name: string): number {
  const { in: n, out: m, blocks: b } = LAYERS.find((layer) => layer.name === name)!;
  return 1 + (b * b) / (n + m);
}

export function scaling(cell: Cell, variant: Variant): number {
  return (cell.oneThread?.[variant] ?? NaN) / (cell.milliseconds[variant] ?? NaN);
}

export const OURS = [
  'blast',
  'blast-fp16',
  'blast-bf16',
  'blast-int8',
  'blast-compute-bf16',
  'blast-compute-int8',
] as const;
const ifTrue = (applies: boolean, value: number, least: number) => (applies ? { value, least } : undefined);

export const GOALS: readonly Goal[] = [
  {
    name: 'float32 over dense, from 128 tokens on: 85 % of the ratio of operations',
    judge: (cell) => ifTrue(cell.tokens >= 128, speed(cell, 'blast', 'dense'), 0.85 * cell.flopRatio),
  },
  {
    name: 'float32 over dense, 1 token: 80 % of the ratio of bytes',
    judge: (cell) => ifTrue(cell.tokens === 1, speed(cell, 'blast', 'dense'), 0.8 * cell.byteRatios.blast!),
  },
  {
    name: 'float16 factors over dense, 1 token: 80 % of twice that',
    judge: (cell) =>
      ifTrue(cell.tokens === 1, speed(cell, 'blast-fp16', 'dense'), 0.8 * 2 * cell.byteRatios.blast!),
  },
  ...OURS.map((variant) => ({
    name: `${variant}: not slower than dense`,
    judge: (cell: Cell) => ({ value: speed(cell, variant, 'dense'), least: 1 }),
  })),
  {
    name: 'float32 over two plain products of the same rank: not slower by more than its operations',
    judge: (cell) => ({ value: speed(cell, 'blast', 'low-rank'), least: 1 / extraOperations(cell.layer) }),
  },
  ...(['blast', 'blast-compute-bf16', 'blast-compute-int8'] as const).map((variant) => ({
    name: `${variant}: 2 threads over 1, from 128 tokens on: 1.85×`,
    judge: (cell: Cell) => ifTrue(cell.tokens >= 128, scaling(cell, variant), 1.85),
  })),
  {
    name: 'int8 over dynamic int8, from 16 tokens on: 70 % of the ratio of operations',
    judge: (cell) =>
      ifTrue(cell.tokens >= 16, speed(cell, 'blast-compute-int8', 'int8'), 0.7 * cell.flopRatio),
  },
  {
    name: 'int8 over dynamic int8, 1 token: 80 % of the ratio of bytes',
    judge: (cell) =>
      ifTrue(
        cell.tokens === 1,
        speed(cell, 'blast-compute-int8', 'int8'),
        (0.8 * cell.byteRatios['blast-compute-int8']!) / cell.byteRatios.int8!,
      ),
  },
  {
    name: 'bfloat16 over our float32, from 128 tokens on: 1.6×',
    judge: (cell) => ifTrue(cell.tokens >= 128, speed(cell, 'blast-compute-bf16', 'blast'), 1.6),
  },
];
