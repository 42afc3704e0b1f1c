// Evaluates small graphs of elementwise operators on one number, in float64.
import { constantNumbers, findConstant } from '../constants.js';
import { isFloatType } from '../floats.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';

type Formula = (...operands: number[]) => number;

const FORMULAS: Record<string, Formula> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
  Neg: (a) => -a,
  Sqrt: Math.sqrt,
  Exp: Math.exp,
  Tanh: Math.tanh,
  Sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  Relu: (a) => Math.max(a, 0),
  Erf: erf,
};

/** The node as a formula of its inputs, or undefined where it is none that an activation is made of. */
export function formula(node: Node): Formula | undefined {
  if (node.is('Gelu')) return node.string('approximate', 'none') === 'tanh' ? geluTanh : gelu;
  if (node.is('Swish')) {
    const alpha = node.float('alpha', 1);
    return (a) => a / (1 + Math.exp(-alpha * a));
  }
  return node.is(node.opType) ? FORMULAS[node.opType] : undefined;
}

/** The number that a one-element constant holds; undefined for anything else. */
export function scalar(graph: Graph, name: string): number | undefined {
  const constant = findConstant(graph, name);
  // Rank 0 or 1 cannot change the shape of what it meets.
  if (constant === undefined || constant.dims.length > 1 || constant.tensor.count !== 1) return undefined;
  if (constant.graph.inputs.has(constant.name) || !isFloatType(constant.dtype)) return undefined;
  return constantNumbers(constant)[0];
}

export function relu(v: number): number {
  return Math.max(v, 0);
}

export function gelu(v: number): number {
  return (v / 2) * (1 + erf(v / Math.SQRT2));
}

export function geluTanh(v: number): number {
  return (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
}

export function silu(v: number): number {
  return v / (1 + Math.exp(-v));
}

/** To 1e-14: the Taylor series where it converges fast, 1 − a continued fraction of erfc beyond (DLMF 7.6.1, 7.9.1). */
export function erf(x: number): number {
  const a = Math.abs(x);
  return Math.sign(x) * (a < 2.5 ? erfSeries(a) : 1 - erfcFraction(a));
}

function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

function erfcFraction(x: number): number {
  let fraction = x;
  for (let k = 60; k >= 1; k--) fraction = x + k / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}
