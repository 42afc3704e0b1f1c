// y[(i q)] = Σ x[(j p)] V[k, j, p] S[i, j, k] U[i, q, k]
import { type Axis, count, type Term } from './form.js';
import { common, covers, indices, isEqual, isPrefix, permutations, without } from './sets.js';
import type { Candidate, NearMiss } from './structure.js';

export function asBlast(
  { coefficient, factors }: Term,
  input: Axis,
  output: Axis,
): Candidate | NearMiss | undefined {
  for (const [v, s, u] of permutations(factors)) {
    const [V, S, U] = [indices(v), indices(s), indices(u)];
    const k = without(V, input);
    if (!covers(V, input) || !covers(U, output) || !isEqual(k, without(U, output))) continue;
    const i = common(output, S);
    const j = common(input, S);
    if (!isEqual(without(S, i, j), k)) return otherCoupling;
    if (!isPrefix(i, output) || !isPrefix(j, input)) return otherOrder(isPrefix(j, input));
    const part = {
      rank: count(k),
      coefficient,
      V: { ...v, order: [...k, ...input] },
      S: { ...s, order: [...i, ...j, ...k] },
      U: { ...u, order: [...output, ...k] },
    };
    return { structure: 'blast', blocksIn: count(j), blocksOut: count(i), interleaved: false, part };
  }
  return undefined;
}

const otherCoupling: NearMiss = {
  code: 'factors-unlike-operator',
  message:
    'It is a low-rank product with a third factor between, but that factor does not have one number for each rank, as S[i, j, k] of BlastMatMul has.',
};

function otherOrder(isInputRight: boolean): NearMiss {
  return {
    code: 'factor-order',
    message: `It is a BLAST product, but the blocks of its ${isInputRight ? 'output' : 'input'} are not contiguous features, as those of BlastMatMul are.`,
  };
}
