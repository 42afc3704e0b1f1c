// A value as what it is of x: a sum of einsums over named indices.
//
// Exporters spell one layer in many ways: bmm, einsum, Reshape and Transpose in any order. Followed symbolically, all
// spellings end in the same sum, such as  y[n, (i q)] = Σ x[n, (j p)] V[j, p, r] S[i, j, r] U[i, r, q]  for BLAST.
import type { StoredTensor } from './stored.js';
import { isOne, ONE, type Size, times } from './size.js';

/** An index; two are the same only if they are the same object. */
export interface Index {
  readonly size: Size;
}

/** An axis runs over several indices, the last one fastest; over none where its size is 1. */
export type Axis = readonly Index[];

export interface Factor {
  readonly tensor: StoredTensor;
  /** What each axis of the stored tensor runs over. */
  readonly axes: readonly Axis[];
}

/** coefficient · x · Π factors, summed over the indices that the form's axes do not have. */
export interface Term {
  readonly coefficient: number;
  /** What each axis of x runs over; absent where the term is constant. */
  readonly input?: readonly Axis[];
  readonly factors: readonly Factor[];
}

/** A value. Each index stands in one axis at most. */
export interface Form {
  readonly axes: readonly Axis[];
  readonly terms: readonly Term[];
  /** Its type where a Cast set it; else that of x, or of the constant. */
  readonly type?: string;
}

export type Substitution = ReadonlyMap<Index, Axis>;

export function newIndex(size: Size): Index {
  return { size };
}

export function newAxis(size: Size): Axis {
  return isOne(size) ? [] : [newIndex(size)];
}

export function axisSize(axis: Axis): Size {
  return axis.reduce((product, index) => times(product, index.size), ONE);
}

/** How many values indices of known sizes take together. */
export function count(indices: Iterable<Index>): number {
  return axisSize([...indices]).n;
}

export function isConstant({ terms }: Form): boolean {
  return terms.every(({ input }) => input === undefined);
}

/** x itself. */
export function inputForm(sizes: readonly Size[]): Form {
  const axes = sizes.map(newAxis);
  return { axes, terms: [{ coefficient: 1, input: axes, factors: [] }] };
}

export function indicesOf({ input = [], factors }: Term): Set<Index> {
  return new Set([...input, ...factors.flatMap(({ axes }) => axes)].flat());
}

export function substitute(form: Form, by: Substitution): Form {
  if (by.size === 0) return form;
  const axes = (all: readonly Axis[]) => all.map((axis) => axis.flatMap((index) => by.get(index) ?? [index]));
  return {
    ...form,
    axes: axes(form.axes),
    terms: form.terms.map(({ coefficient, input, factors }) => ({
      coefficient,
      ...(input && { input: axes(input) }),
      factors: factors.map((factor) => ({ ...factor, axes: axes(factor.axes) })),
    })),
  };
}

/** The form times a number. */
export function scaled(form: Form, by: number): Form {
  return { ...form, terms: form.terms.map((term) => ({ ...term, coefficient: term.coefficient * by })) };
}
