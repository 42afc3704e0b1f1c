// y[(i q)] = Σ x[(j p)] V[i, k, j, p] U[i, q, j, k]: two block-diagonal products with a permutation between.
import { type Axis, count, type Index, type Term } from './form.js';
import { common, covers, indices, isEqual, isPrefix, permutations, without } from './sets.js';
import type { Candidate, NearMiss } from './structure.js';

export function asMonarch(
  { coefficient, factors }: Term,
  input: Axis,
  output: Axis,
): Candidate | NearMiss | undefined {
  for (const [v, u] of permutations(factors)) {
    const [V, U] = [indices(v), indices(u)];
    if (!covers(V, input) || !covers(U, output)) continue;
    const i = common(output, V);
    const j = common(input, U);
    const k = without(V, input, i);
    if (!isEqual(k, without(U, output, j)) || common(i, new Set(input)).length > 0) continue;
    const interleaved = !isPrefix(i, output);
    if (!isPrefix(j, input) || (interleaved && !isSuffix(i, output))) return otherOrder(isPrefix(j, input));
    const part = {
      rank: count(k),
      coefficient,
      V: { ...v, order: [...i, ...k, ...input] },
      U: { ...u, order: [...output, ...j, ...k] },
    };
    return { structure: 'monarch', blocksIn: count(j), blocksOut: count(i), interleaved, part };
  }
  return undefined;
}

function isSuffix(part: readonly Index[], whole: readonly Index[]): boolean {
  return isPrefix([...part].reverse(), [...whole].reverse());
}

function otherOrder(isInputRight: boolean): NearMiss {
  const message = isInputRight
    ? 'The blocks of its output are neither contiguous nor every b-th feature.'
    : 'The blocks of its input are not contiguous features.';
  return {
    code: 'factor-order',
    message: `It is a Monarch product, but in an order that MonarchMatMul does not have: ${message}`,
  };
}
