// Operators of two and more tensors that are broadcast against each other: what was repeated is summed.
import { forEachInput, type Rule, type Rules } from '../rule.js';

const sum: Rule = (s) => forEachInput(s, (i) => s.b.reduceTo(s.g, s.node.inputs[i]));

const mean: Rule = (s) =>
  forEachInput(s, (i) =>
    s.b.reduceTo(s.b.mul(s.g, s.b.scalar(1 / s.node.inputs.length, s.g)), s.node.inputs[i]),
  );

/** To where the extreme is; equal operands share. */
const extreme: Rule = (s) =>
  forEachInput(s, (i) => {
    const { b, node, y } = s;
    const hits = node.inputs.map((input) => b.castLike(b.op('Equal', [input, y]), s.g));
    const total = hits.reduce((a, c) => b.add(a, c));
    return b.reduceTo(b.mul(s.g, b.div(hits[i], total)), node.inputs[i]);
  });

export const ARITHMETIC: Rules = {
  Add: sum,
  Sum: sum,
  Mean: mean,
  Max: extreme,
  Min: extreme,
  Sub: ({ b, g, node }) => [() => b.reduceTo(g, node.inputs[0]), () => b.reduceTo(b.neg(g), node.inputs[1])],
  Mul: ({ b, g, node: { inputs } }) => [
    () => b.reduceTo(b.mul(g, inputs[1]), inputs[0]),
    () => b.reduceTo(b.mul(g, inputs[0]), inputs[1]),
  ],
  Div: ({ b, g, y, node: { inputs } }) => [
    () => b.reduceTo(b.div(g, inputs[1]), inputs[0]),
    () => b.reduceTo(b.neg(b.div(b.mul(g, y), inputs[1])), inputs[1]),
  ],
  /** p·x^(p − 1); p may be of another type. No gradient for the exponent. */
  Pow: ({ b, g, x, node: { inputs } }) => [
    () => {
      const p = b.castLike(inputs[1], x);
      const slope = b.mul(p, b.op('Pow', [x, b.sub(p, b.scalar(1, x))]));
      return b.reduceTo(b.mul(g, slope), x);
    },
  ],
  Where: ({ b, g, node: { inputs } }) => {
    const zero = () => b.scalar(0, g);
    return [
      undefined,
      () => b.reduceTo(b.op('Where', [inputs[0], g, zero()]), inputs[1]),
      () => b.reduceTo(b.op('Where', [inputs[0], zero(), g]), inputs[2]),
    ];
  },
};
