// Turns option texts into values; what is wrong is said by commander in one sentence.
import { InvalidArgumentError } from 'commander';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { type Compute, COMPUTES, FACTOR_TYPES, type FactorType } from '../../graph-rewriter/types.js';
import { parseShape } from '../inputs/index.js';

/** A whole number of at least `least`. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`Expected a whole number of at least ${least}.`);
    }
    return value;
  };
}

/** A share above 0 and at most 1. */
export function share(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0 && value <= 1)) {
    throw new InvalidArgumentError('Expected a number above 0 and at most 1.');
  }
  return value;
}

export function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0 && value < Infinity)) {
    throw new InvalidArgumentError('Expected a number above 0.');
  }
  return value;
}

/** `4`, or `4,8` for blocks of the input and of the output. */
export function blockCounts(text: string): number | [number, number] {
  const counts = text.split(',').map(wholeNumber(1));
  if (counts.length > 2) throw new InvalidArgumentError('Expected one count, or two as 4,8.');
  return counts.length === 1 ? counts[0] : [counts[0], counts[1]];
}

/** `1,128` */
export function tokenCounts(text: string): number[] {
  return text.split(',').map(wholeNumber(1));
}

const TYPE_NAMES: Readonly<Record<string, FactorType>> = {
  fp32: 'float32',
  fp16: 'float16',
  bf16: 'bfloat16',
};

/** `fp16`, or in full `float16`. */
export function factorType(text: string): FactorType {
  return oneOf(FACTOR_TYPES, TYPE_NAMES[text] ?? text, 'fp32, fp16, bf16, int8');
}

export function compute(text: string): Compute {
  return oneOf(COMPUTES, TYPE_NAMES[text] ?? text, 'float, bf16, int8');
}

function oneOf<T extends string>(values: readonly T[], text: string, expected: string): T {
  const value = values.find((known) => known === text);
  if (value === undefined) throw new InvalidArgumentError(`Expected one of ${expected}.`);
  return value;
}

/** Gathers an option that may be repeated. */
export function repeated(text: string, before: string[] = []): string[] {
  return [...before, text];
}

export function shapes(text: string, before: Record<string, number[]> = {}): Record<string, number[]> {
  try {
    const { name, dims } = parseShape(text);
    return { ...before, [name]: dims };
  } catch (error) {
    throw new InvalidArgumentError(error instanceof BlockrankError ? error.message : String(error));
  }
}

/** `1e-3` for all outputs, `name:0.1` for one. */
export interface Tolerances {
  readonly all?: number;
  readonly byOutput: Readonly<Record<string, number>>;
}

export function tolerances(text: string, before: Tolerances = { byOutput: {} }): Tolerances {
  const split = text.lastIndexOf(':');
  const number = text.slice(split + 1);
  const value = Number(number);
  if (number.trim() === '' || !(value >= 0)) {
    throw new InvalidArgumentError('Expected a number of at least 0, or output:number.');
  }
  if (split < 0) return { ...before, all: value };
  return { ...before, byOutput: { ...before.byOutput, [text.slice(0, split)]: value } };
}
