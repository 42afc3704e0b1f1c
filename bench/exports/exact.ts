// Low-rank factors that stand for the weight itself: with a unit matrix on the smaller side, each output is the same product again.
import type { FactorizeLayer } from '../../graph-rewriter/types.js';

export const exactFactors: FactorizeLayer = (_, { in: inputs, out, data }) => {
  const rank = Math.min(inputs, out);
  const unit = new Float32Array(rank * rank);
  for (let i = 0; i < rank; i++) unit[i * rank + i] = 1;
  const [V, U] = inputs <= out ? [unit, data] : [data, unit];
  const factors = { structure: 'low-rank', rank, blocksIn: 1, blocksOut: 1, in: inputs, out, V, U } as const;
  return Promise.resolve({ factors, relativeError: 0, weightedError: 0 });
};
