/**
 * What is differentiated, without labels: gradients g whose second moments say how much a small change of a layer's output costs.
 *
 * - `distribution` (logits): E[g gᵀ] is the Fisher information of the model's own distribution, so ½ E (gᵀδ)² is KL(dense ‖
 *   changed) to second order. The logits' gradient is √p·ε − p·(√pᵀε) with ε standard normal, whose covariance is
 *   diag(p) − p pᵀ as that of p − onehot(label) for labels drawn from p, with lighter tails.
 * - `next-token` (logits of a causal language model): cross entropy of the true next token of `input_ids`.
 * - `squared` (any other output): relative squared error ‖δy‖²/‖y‖². The gradient is ε/‖y‖, and E[g gᵀ] = JᵀJ/‖y‖², Gauss–Newton
 *   (Hutchinson's estimator).
 */
import { float, int, type GradientBuilder, type Value } from './builder.js';

const END = 2 ** 31 - 1;

export const LOSSES = ['distribution', 'next-token', 'squared'] as const;
export type Loss = (typeof LOSSES)[number];

/** A value that the loss looks at. */
export interface Observed {
  readonly value: Value;
  readonly loss: Loss;
  /** Number of axes where it is declared. */
  readonly rank?: number;
}

export interface Context {
  readonly b: GradientBuilder;
  readonly seed: number;
  /** Model input [batch, positions]: 1 where a position counts. */
  readonly mask?: Value;
  /** Model input [batch, positions] of `next-token`. */
  readonly tokens?: Value;
}

export interface Seed {
  /** Gradient of the loss with respect to the observed value. */
  readonly gradient: Value;
  /** Rows that count, a scalar of float32. The loss is a mean over them. */
  readonly rows: Value;
}

export function seedOf(observed: Observed, context: Context): Seed {
  const { b } = context;
  const weights =
    observed.loss === 'next-token' ? nextWeights(observed, context) : rowWeights(observed, context);
  const rows = b.op('ReduceSum', [weights], [int('keepdims', 0)]);
  return { gradient: gradientOf(observed, context, weights, rows), rows: b.float(rows) };
}

function gradientOf(observed: Observed, context: Context, weights: Value, rows: Value): Value {
  const { b } = context;
  const { value, loss } = observed;
  if (loss === 'squared') {
    const noise = b.mul(normalLike(context, value), weights);
    // What does not count may be anything, NaN too.
    const counts = b.op('Greater', [weights, b.scalar(0, weights)]);
    const counted = b.op('Where', [counts, b.mul(value, value), b.scalar(0, value)]);
    const energy = b.op('ReduceSum', [counted], [int('keepdims', 0)]);
    // An output of zeros has no scale; its changes count as they are.
    const isZero = b.op('Equal', [energy, b.scalar(0, energy)]);
    return b.div(noise, b.op('Sqrt', [b.op('Where', [isZero, b.scalar(1, energy), energy])]));
  }
  const p = b.op('Softmax', [value], [int('axis', -1)]);
  const perRow = loss === 'next-token' ? b.sub(p, nextTokens(context, p)) : fisherNoise(context, p);
  return b.mul(perRow, b.div(weights, b.op('Sqrt', [rows])));
}

/** √p·ε − p·(√pᵀε) */
function fisherNoise(context: Context, p: Value): Value {
  const { b } = context;
  const root = b.mul(b.op('Sqrt', [p]), normalLike(context, p));
  return b.sub(root, b.mul(p, b.sum(root, [-1])));
}

function normalLike({ b, seed }: Context, like: Value): Value {
  return b.op('RandomNormalLike', [like], [float('seed', seed + b.nodes.length)]);
}

/** One-hot rows of the tokens that follow; the last position's own row is of no use and weighed 0. */
function nextTokens({ b, tokens }: Context, p: Value): Value {
  const rest = positions(b, tokens!, 1, END);
  const first = positions(b, tokens!, 0, 1);
  const next = b.op('Concat', [rest, first], [int('axis', 1)]);
  return b.op('OneHot', [next, b.length(p, -1), b.vector([0, 1], p)], [int('axis', -1)]);
}

/** 1 or 0 for each row, [batch, positions, 1 …], from the mask's last positions: with a cache it also covers what came before. */
function rowWeights({ value, rank = 0 }: Observed, { b, mask }: Context): Value {
  if (mask === undefined || rank < 3) return b.op('Expand', [b.scalar(1, value), onesShape(b, value)]);
  const start = b.neg(b.length(value, 1));
  const last = b.op('Slice', [mask, start, b.ints(END), b.ints(1)]);
  const axes = Array.from({ length: rank - 2 }, (_, i) => i + 2);
  return b.op('Unsqueeze', [b.castLike(last, value), b.ints(...axes)]);
}

/** The shape of the value with its last axis, if it has one, of length 1. */
function onesShape(b: GradientBuilder, value: Value): Value {
  const shape = b.shape(value);
  const leading = b.op('Slice', [shape, b.ints(0), b.ints(-1)]);
  const rank = b.op('Shape', [shape]);
  const one = b.op('Expand', [b.ints(1), b.op('Min', [rank, b.ints(1)])]);
  return b.op('Concat', [leading, one], [int('axis', 0)]);
}

/** Positions start … end − 1 of [batch, positions, …]. */
function positions(b: GradientBuilder, value: Value, start: number, end: number): Value {
  return b.op('Slice', [value, b.ints(start), b.ints(end), b.ints(1)]);
}

/** A position counts where it and the next one do. */
function nextWeights(observed: Observed, context: Context): Value {
  const { b } = context;
  const weights = rowWeights(observed, context);
  const rest = positions(b, weights, 1, END);
  const first = positions(b, weights, 0, 1);
  const zeros = b.sub(first, first);
  return b.mul(weights, b.op('Concat', [rest, zeros], [int('axis', 1)]));
}
