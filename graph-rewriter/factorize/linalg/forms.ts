// Sums and quadratic forms of the BLAST fit, as plain loops (described in ../loops.ts).
import type { Scales } from '../loops.js';

export function couple(
  { data, outer, inner }: Scales,
  outputs: number,
  inputs: number,
  r: number,
  p: number,
  z: Float64Array,
  sums: Float64Array,
): void {
  sums.fill(0, 0, outputs * r * p);
  for (let i = 0; i < outputs; i++)
    for (let k = 0; k < inputs; k++)
      for (let a = 0; a < r; a++) {
        const factor = data[i * outer + k * inner + a];
        const from = (k * r + a) * p;
        const to = (i * r + a) * p;
        for (let c = 0; c < p; c++) sums[to + c] += factor * z[from + c];
      }
}

export function rowProducts(
  m: Float64Array,
  v: Float64Array,
  blocks: number,
  r: number,
  p: number,
  sums: Float64Array,
): void {
  for (let at = 0; at < blocks * r; at++) {
    const from = at * p;
    const to = (at % r) * p;
    let sum = 0;
    for (let c = 0; c < p; c++) sum += m[from + c] * v[to + c];
    sums[at] = sum;
  }
}

export function columnForm(
  { data, outer }: Scales,
  g: Float64Array,
  blocks: number,
  r: number,
  form: Float64Array,
): void {
  form.fill(0, 0, r * r);
  for (let i = 0; i < blocks; i++) {
    const at = i * outer;
    for (let a = 0; a < r; a++) {
      const gram = (i * r + a) * r;
      for (let c = 0; c < r; c++) form[a * r + c] += data[at + a] * data[at + c] * g[gram + c];
    }
  }
}

export function scaleForms(
  g: Float64Array,
  h: Float64Array,
  blocks: number,
  r: number,
  forms: Float64Array,
): void {
  const size = r * r;
  for (let i = 0; i < blocks; i++)
    for (let at = 0; at < size; at++) forms[i * size + at] = g[i * size + at] * h[at];
}

export function addScaleShift(
  factor: number,
  g: Float64Array,
  h: Float64Array,
  { data, outer }: Scales,
  blocks: number,
  r: number,
  sums: Float64Array,
): void {
  for (let i = 0; i < blocks; i++)
    for (let a = 0; a < r; a++) {
      const row = (i * r + a) * r;
      let sum = 0;
      for (let c = 0; c < r; c++) sum += g[row + c] * h[a * r + c] * data[i * outer + c];
      sums[i * r + a] += factor * sum;
    }
}

export function addScaledForm(
  factor: number,
  { data, outer }: Scales,
  h: Float64Array,
  blocks: number,
  r: number,
  forms: Float64Array,
): void {
  for (let i = 0; i < blocks; i++) {
    const at = i * outer;
    for (let a = 0; a < r; a++) {
      const scale = factor * data[at + a];
      const to = (i * r + a) * r;
      for (let c = 0; c < r; c++) forms[to + c] += scale * data[at + c] * h[a * r + c];
    }
  }
}
