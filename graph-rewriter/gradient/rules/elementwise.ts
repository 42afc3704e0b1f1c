// y = f(x) element by element: dx = g · f′(x).
import { float, type GradientBuilder, type Value } from '../builder.js';
import type { Rule, Rules, Step } from '../rule.js';

type Slope = (s: Step & Scalars) => Value;

interface Scalars {
  /** A scalar of x's type. */
  readonly c: (value: number) => Value;
}

const elementwise =
  (slope: Slope): Rule =>
  (s) => [() => s.b.mul(s.g, slope({ ...s, c: (value) => s.b.scalar(value, s.x) }))];

/** 1 where a condition holds, else 0, in the type of x. */
const where = ({ b, x }: Step, opType: string, left: Value, right: Value) =>
  b.castLike(b.op(opType, [left, right]), x);

/** 1 between the bounds, else 0. */
function between(s: Step, value: Value, low: Value, high: Value): Value {
  return s.b.mul(where(s, 'Greater', value, low), where(s, 'Less', value, high));
}

const square = (b: GradientBuilder, x: Value) => b.mul(x, x);

/** σ(k·x) */
const sigmoid = (b: GradientBuilder, x: Value) => b.op('Sigmoid', [x]);

/** d/dx x·σ(k·x) = σ + k·x·σ·(1 − σ) */
function swishSlope({ b, x, c }: Step & Scalars, k: number): Value {
  const kx = k === 1 ? x : b.mul(x, c(k));
  const s = sigmoid(b, kx);
  return b.mul(s, b.add(c(1), b.mul(kx, b.sub(c(1), s))));
}

/** Φ(x) + x·φ(x) */
function geluSlope({ b, x, c }: Step & Scalars): Value {
  const phi = b.mul(c(1 / Math.sqrt(2 * Math.PI)), b.op('Exp', [b.mul(c(-0.5), square(b, x))]));
  const cumulative = b.mul(c(0.5), b.add(c(1), b.op('Erf', [b.mul(x, c(Math.SQRT1_2))])));
  return b.add(cumulative, b.mul(x, phi));
}

/** With u = √(2/π)(x + 0.044715 x³): ½(1 + tanh u) + ½ x (1 − tanh² u) u′ */
function tanhGeluSlope({ b, x, c }: Step & Scalars): Value {
  const root = Math.sqrt(2 / Math.PI);
  const x2 = square(b, x);
  const t = b.op('Tanh', [b.mul(x, b.add(c(root), b.mul(c(root * 0.044715), x2)))]);
  const du = b.add(c(root), b.mul(c(3 * root * 0.044715), x2));
  const tail = b.mul(b.mul(x, b.sub(c(1), square(b, t))), du);
  return b.mul(c(0.5), b.add(b.add(c(1), t), tail));
}

/** max(0, min(1, αx + β)) and its slope α where the ramp is. */
const hardSigmoidSlope = (s: Step & Scalars, alpha: number, beta: number) =>
  s.b.mul(s.c(alpha), between(s, s.x, s.c(-beta / alpha), s.c((1 - beta) / alpha)));

const clip: Rule = (s) => {
  const { b, node, x } = s;
  const [, low = '', high = ''] = node.inputs;
  const slope = () => {
    const above = low === '' ? undefined : where(s, 'GreaterOrEqual', x, low);
    const below = high === '' ? undefined : where(s, 'LessOrEqual', x, high);
    return above && below ? b.mul(above, below) : (above ?? below);
  };
  return [
    () => {
      const kept = slope();
      return kept === undefined ? s.g : b.mul(s.g, kept);
    },
  ];
};

export const ELEMENTWISE: Rules = {
  Abs: elementwise(({ b, x }) => b.op('Sign', [x])),
  Clip: clip,
  Cos: elementwise(({ b, x }) => b.neg(b.op('Sin', [x]))),
  Erf: elementwise(({ b, x, c }) => b.mul(c(2 / Math.sqrt(Math.PI)), b.op('Exp', [b.neg(square(b, x))]))),
  Exp: elementwise(({ y }) => y),
  Gelu: elementwise((s) =>
    s.node.string('approximate', 'none') === 'tanh' ? tanhGeluSlope(s) : geluSlope(s),
  ),
  HardSigmoid: elementwise((s) => hardSigmoidSlope(s, s.node.float('alpha', 0.2), s.node.float('beta', 0.5))),
  /** x·h(x), h = HardSigmoid(1/6, ½) */
  HardSwish: elementwise((s) => {
    const h = s.b.op('HardSigmoid', [s.x], [float('alpha', 1 / 6), float('beta', 0.5)]);
    return s.b.add(h, s.b.mul(s.x, hardSigmoidSlope(s, 1 / 6, 0.5)));
  }),
  LeakyRelu: elementwise((s) => {
    const slope = s.c(s.node.float('alpha', 0.01));
    return s.b.op('Where', [s.b.op('Greater', [s.x, s.c(0)]), s.c(1), slope]);
  }),
  Log: elementwise(({ b, x }) => b.op('Reciprocal', [x])),
  Neg: (s) => [() => s.b.neg(s.g)],
  QuickGelu: elementwise((s) => swishSlope(s, s.node.float('alpha', 1.702))),
  Reciprocal: elementwise(({ b, y }) => b.neg(square(b, y))),
  Relu: elementwise((s) => where(s, 'Greater', s.x, s.c(0))),
  Sigmoid: elementwise(({ b, y, c }) => b.mul(y, b.sub(c(1), y))),
  Sin: elementwise(({ b, x }) => b.op('Cos', [x])),
  Softplus: elementwise(({ b, x }) => sigmoid(b, x)),
  Sqrt: elementwise(({ b, y, c }) => b.div(c(0.5), y)),
  Swish: elementwise((s) => swishSlope(s, s.node.float('alpha', 1))),
  Tanh: elementwise(({ b, y, c }) => b.sub(c(1), square(b, y))),
};
