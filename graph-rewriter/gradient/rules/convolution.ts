// Convolutions: each is the other's adjoint.
import { int, ints } from '../builder.js';
import { constantDims, type Rule, type Rules, type Step } from '../rule.js';

function isExplicit({ node }: Step): boolean {
  const pad = node.string('auto_pad', 'NOTSET');
  return (pad === 'NOTSET' || pad === '') && node.attribute('output_shape') === undefined;
}

function geometry({ node }: Step) {
  const lists = ['strides', 'pads', 'dilations', 'kernel_shape'] as const;
  return [
    int('group', node.int('group', 1)),
    ...lists.flatMap((name) => {
      const values = node.ints(name);
      return values ? [ints(name, values)] : [];
    }),
  ];
}

/** Strides drop up to stride − 1 of x's last places: they are made, then cut to x's size. */
const conv: Rule = (s) => {
  const { b, g, x, graph, node } = s;
  const dims = constantDims(graph, node.inputs[1]);
  if (!isExplicit(s) || dims === undefined) return [];
  const spatial = dims.length - 2;
  const strides = node.ints('strides') ?? Array.from({ length: spatial }, () => 1);
  const padding = ints(
    'output_padding',
    strides.map((stride) => stride - 1),
  );
  return [
    () => {
      const whole = b.op('ConvTranspose', [g, node.inputs[1]], [...geometry(s), padding]);
      const starts = b.ints(...dims.map(() => 0));
      return b.op('Slice', [whole, starts, b.shape(x)]);
    },
  ];
};

const convTranspose: Rule = (s) => {
  if (!isExplicit(s)) return [];
  return [() => s.b.op('Conv', [s.g, s.node.inputs[1]], geometry(s))];
};

export const CONVOLUTION: Rules = { Conv: conv, ConvTranspose: convTranspose };
