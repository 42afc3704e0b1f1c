// Softmax and the normalizations.
import { float, type Value } from '../builder.js';
import { constantDims, type Rule, type Rules, type Step } from '../rule.js';

/** y·(g − Σ g·y) along the axis. */
const softmax: Rule = ({ b, g, y, node }) => [
  () => b.mul(y, b.sub(g, b.sum(b.mul(g, y), [node.int('axis', -1)]))),
];

/** g − exp(y)·Σ g along the axis. */
const logSoftmax: Rule = ({ b, g, y, node }) => [
  () => b.sub(g, b.mul(b.op('Exp', [y]), b.sum(g, [node.int('axis', -1)]))),
];

/** The trailing axes that are normalized: as many as the scale has, else counted from a negative `axis`. */
function normalizedAxes({ graph, node }: Step): number[] | undefined {
  const axis = node.int('axis', -1);
  const count = constantDims(graph, node.inputs[1])?.length ?? (axis < 0 ? -axis : undefined);
  return count === undefined ? undefined : Array.from({ length: count }, (_, i) => i - count);
}

/**
 * x̂ = (x − mean)·r, r = (mean square + ε)^−½: with h = g·scale,
 * dx = r·(h − mean(h) − x̂·mean(h·x̂)); without centring the middle term is absent.
 */
const layerNorm =
  (isCentred: boolean): Rule =>
  (s) => {
    const axes = normalizedAxes(s);
    if (axes === undefined) return [];
    const { b, g, x, node } = s;
    return [
      () => {
        const centred = isCentred ? b.sub(x, b.mean(x, axes)) : x;
        const power = b.add(b.mean(b.mul(centred, centred), axes), b.scalar(node.float('epsilon', 1e-5), x));
        const root = b.op('Sqrt', [power]);
        const unit = b.div(centred, root);
        const h = b.mul(g, node.inputs[1]);
        const along = b.mul(unit, b.mean(b.mul(h, unit), axes));
        const rest = isCentred ? b.sub(h, b.mean(h, axes)) : h;
        return b.div(b.sub(rest, along), root);
      },
    ];
  };

/** In inference a scale for each channel: the operator itself, without shift. */
const batchNorm: Rule = ({ b, g, node }) => {
  const [, scale, , , variance] = node.inputs;
  if (node.int('training_mode', 0) !== 0) return [];
  const zero = (like: Value) => b.sub(like, like);
  const epsilon = float('epsilon', node.float('epsilon', 1e-5));
  return [() => b.op('BatchNormalization', [g, scale, zero(scale), zero(scale), variance], [epsilon])];
};

/** y = x/‖x‖ along the axis: (g − y·Σ g·y)/‖x‖. */
const lpNorm: Rule = ({ b, g, x, y, node }) => {
  if (node.int('p', 2) !== 2) return [];
  const axis = [node.int('axis', -1)];
  return [
    () => {
      const norm = b.op('Sqrt', [b.sum(b.mul(x, x), axis)]);
      return b.div(b.sub(g, b.mul(y, b.sum(b.mul(g, y), axis))), norm);
    },
  ];
};

export const NORMALIZATION: Rules = {
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  LayerNormalization: layerNorm(true),
  SimplifiedLayerNormalization: layerNorm(false),
  RMSNormalization: layerNorm(false),
  BatchNormalization: batchNorm,
  LpNormalization: lpNorm,
};
