// The numbers of stored tensors in the order of indices, and sums over them.
import { type Axis, count, type Factor, type Index, indicesOf, type Term } from './form.js';
import type { FactorName } from '../functions/factor-inputs.js';
import { without } from './sets.js';
import type { Part, Structure } from './structure.js';

/** One factor in the layout of docs/operators.md, all parts beside each other along the rank; coefficients are in U. */
export function factorNumbers(structure: Structure, name: FactorName): Float32Array {
  const { parts, spec } = structure;
  const each = parts.map((part) => partNumbers(part, name, structure));
  if (each.length === 1) return each[0];
  // [outer, rank, inner]
  const inner = name === 'V' ? structure.in : 1;
  const outer = each[0].length / parts[0].rank / inner;
  const all = new Float32Array(outer * spec.rank * inner);
  let start = 0;
  for (const [p, { rank }] of parts.entries()) {
    for (let o = 0; o < outer; o++) {
      const row = each[p].subarray(o * rank * inner, (o + 1) * rank * inner);
      all.set(row, (o * spec.rank + start) * inner);
    }
    start += rank;
  }
  return all;
}

/** S of a low-rank term among BLAST terms is 1. */
function partNumbers(part: Part, name: FactorName, { spec }: Structure): Float32Array {
  const reading = part[name];
  if (reading === undefined) return new Float32Array(spec.blocksOut * spec.blocksIn * part.rank).fill(1);
  const numbers = gather(reading, reading.order);
  return name === 'U' && part.coefficient !== 1 ? numbers.map((value) => value * part.coefficient) : numbers;
}

/** Constant terms over the indices of a row, added up in float64. */
export function rowNumbers(constants: readonly Term[], row: Axis): Float64Array {
  const sum = new Float64Array(count(row));
  for (const term of constants) addTerm(sum, term, row);
  return sum;
}

function addTerm(sum: Float64Array, term: Term, row: Axis): void {
  const order = [...row, ...without(indicesOf(term), row)];
  const factors = term.factors.map((factor) => gather(factor, order));
  const each = count(order) / sum.length;
  for (let at = 0; at < sum.length * each; at++) {
    const product = factors.reduce((value, numbers) => value * numbers[at], term.coefficient);
    sum[Math.floor(at / each)] += product;
  }
}

/** A tensor's numbers while the indices run, the last one fastest; repeated for an index that it does not have. */
function gather({ tensor, axes }: Factor, order: readonly Index[]): Float32Array {
  const numbers = tensor.tensor.numbers();
  const stored = axes.flat();
  if (stored.length === order.length && stored.every((index, i) => index === order[i])) return numbers;
  const strides = stridesOf(stored);
  const gathered = new Float32Array(count(order));
  const sizes = order.map((index) => index.size.n);
  const steps = order.map((index) => strides.get(index) ?? 0);
  let at = 0;
  const fill = (level: number, from: number): void => {
    if (level === order.length) gathered[at++] = numbers[from];
    else if (level === order.length - 1)
      for (let i = 0; i < sizes[level]; i++) gathered[at++] = numbers[from + i * steps[level]];
    else for (let i = 0; i < sizes[level]; i++) fill(level + 1, from + i * steps[level]);
  };
  fill(0, 0);
  return gathered;
}

/** How far apart neighbours of an index are stored. */
function stridesOf(stored: readonly Index[]): ReadonlyMap<Index, number> {
  const strides = new Map<Index, number>();
  let stride = 1;
  for (const index of [...stored].reverse()) {
    strides.set(index, stride);
    stride *= index.size.n;
  }
  return strides;
}
