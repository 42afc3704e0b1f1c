// Layers that no gradient reaches, in bodies of If, Loop and Scan, compared with those that one does.
import type { Curve } from './options.js';

export interface Measured {
  /** All of one layer. */
  readonly curves: readonly Curve[];
  /** Output weights come from gradients; all 1 where they do not. */
  readonly isMeasured: boolean;
}

/**
 * The losses of layers without a gradient, in the unit of the others: leaving such a layer out altogether is taken to cost what
 * it costs in the median of the layers that were measured, and 1 where none was. Among themselves these layers are then
 * compared by the relative errors of their outputs.
 */
export function withAssumed<T extends Measured>(layers: readonly T[]): T[] {
  const whole = ({ curves }: T) => curves[0].tails[0];
  const known = layers.filter(({ isMeasured }) => isMeasured).map(whole);
  const typical = known.length === 0 ? 1 : median(known);
  return layers.map((layer) => {
    if (layer.isMeasured || whole(layer) === 0) return layer;
    const factor = typical / whole(layer);
    const scaled = new Map(layer.curves.map(({ tails }) => [tails, tails.map((value) => value * factor)]));
    return {
      ...layer,
      curves: layer.curves.map(({ blocks, tails }) => ({ blocks, tails: scaled.get(tails)! })),
    };
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
