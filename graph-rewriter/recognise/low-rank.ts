// y[o] = Σ x[c] V[c, k] U[k, o]: two MatMuls or Linears in a row, a LoRA branch.
import { type Axis, count, type Term } from './form.js';
import { covers, indices, isEqual, permutations, without } from './sets.js';
import type { Candidate } from './structure.js';

export function asLowRank({ coefficient, factors }: Term, input: Axis, output: Axis): Candidate | undefined {
  for (const [v, u] of permutations(factors)) {
    const [V, U] = [indices(v), indices(u)];
    const k = without(V, input);
    if (!covers(V, input) || !covers(U, output) || !isEqual(k, without(U, output))) continue;
    const part = {
      rank: count(k),
      coefficient,
      V: { ...v, order: [...k, ...input] },
      U: { ...u, order: [...output, ...k] },
    };
    return { structure: 'low-rank', blocksIn: 1, blocksOut: 1, interleaved: false, part };
  }
  return undefined;
}
