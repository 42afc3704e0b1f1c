// Sums, means and extremes over axes.
import { int, type Value } from '../builder.js';
import type { Rule, Rules, Step } from '../rule.js';

/** The value, of y's shape, with the axes that the reduction took away as axes of length 1: ready to be broadcast against x. */
function aligned({ b, node }: Step, value: Value): Value {
  if (node.int('keepdims', 1) !== 0) return value;
  const axes = node.inputs[1] ?? '';
  if (axes !== '') return b.op('Unsqueeze', [value, axes]);
  const given = node.ints('axes');
  // All axes: a scalar is broadcast as it is.
  return given === undefined ? value : b.op('Unsqueeze', [value, b.ints(...given)]);
}

const spread = (s: Step, value: Value) => s.b.op('Expand', [aligned(s, value), s.b.shape(s.x)]);

const sum: Rule = (s) => [() => spread(s, s.g)];

const mean: Rule = (s) => [
  () => {
    const { b, g, x, y } = s;
    const share = b.div(b.castLike(b.op('Size', [y]), g), b.castLike(b.op('Size', [x]), g));
    return spread(s, b.mul(g, share));
  },
];

/** To where the extreme is; equal elements share.  */
const extreme: Rule = (s) => [
  () => {
    const { b, x, y, node } = s;
    const hit = b.castLike(b.op('Equal', [x, aligned(s, y)]), s.g);
    const axes = node.inputs[1] ?? '';
    const given = node.ints('axes');
    const inputs = axes !== '' ? [hit, axes] : given ? [hit, b.ints(...given)] : [hit];
    const count = b.op('ReduceSum', inputs, [int('keepdims', 1)]);
    return b.mul(b.div(hit, count), aligned(s, s.g));
  },
];

/** y = √Σx²: x·g/y */
const l2: Rule = (s) => [() => s.b.mul(s.x, aligned(s, s.b.div(s.g, s.y)))];

const sumSquare: Rule = (s) => [() => s.b.mul(s.b.mul(s.x, s.b.scalar(2, s.x)), aligned(s, s.g))];

/** All axes after the first two. */
const globalMean: Rule = (s) => [
  () => {
    const { b, g, x, y } = s;
    const share = b.div(b.castLike(b.op('Size', [y]), g), b.castLike(b.op('Size', [x]), g));
    return b.op('Expand', [b.mul(g, share), b.shape(x)]);
  },
];

export const REDUCTION: Rules = {
  ReduceSum: sum,
  ReduceMean: mean,
  ReduceMax: extreme,
  ReduceMin: extreme,
  ReduceL2: l2,
  ReduceSumSquare: sumSquare,
  GlobalAveragePool: globalMean,
};
