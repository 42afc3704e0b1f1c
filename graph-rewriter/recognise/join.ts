// Sums of factorized products that are one: [U₁ U₂] · [V₁; V₂] = U₁ V₁ + U₂ V₂. So LoRA on a low-rank or BLAST layer costs no second operator.
import type { Candidate, Part, Structure } from './structure.js';

type Joined = Pick<Structure, 'spec' | 'interleaved' | 'parts'>;

/** Undefined where the terms are of structures or blocks that do not stand beside each other. */
export function joinTerms(candidates: readonly Candidate[]): Joined | undefined {
  const [first] = candidates.filter(({ structure }) => structure !== 'low-rank').concat(candidates);
  const { structure, blocksIn, blocksOut, interleaved } = first;
  const isAlike = (other: Candidate) =>
    // A low-rank product is BLAST with S = 1.
    (structure === 'blast' && other.structure === 'low-rank') ||
    (other.structure === structure &&
      other.blocksIn === blocksIn &&
      other.blocksOut === blocksOut &&
      other.interleaved === interleaved);
  if (!candidates.every(isAlike)) return undefined;
  const parts = candidates.map(({ part }) => part) as [Part, ...Part[]];
  const rank = parts.reduce((sum, part) => sum + part.rank, 0);
  return { spec: { structure, rank, blocksIn, blocksOut }, interleaved, parts };
}
