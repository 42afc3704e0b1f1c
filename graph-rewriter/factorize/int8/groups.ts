// Which numbers of a factor share a scale, and which scale that is.
import { partition, range } from '../partition.js';
import type { Factors } from '../types.js';

export type Spec = Omit<Factors, 'V' | 'S' | 'U'>;

/** The numbers from start to end share the scale of an index. */
export type Group = readonly [start: number, end: number, index: number];

/** Row k of block j, of Monarch of output block i too; scales [i, j, k]. */
export function* vGroups(spec: Spec): Generator<Group> {
  const columns = partition(spec.in, spec.blocksIn);
  const rows = (spec.structure === 'monarch' ? spec.blocksOut : 1) * spec.rank;
  for (let row = 0; row < rows; row++)
    for (let j = 0; j < spec.blocksIn; j++) {
      const [left, right] = range(columns, j);
      const i = Math.floor(row / spec.rank);
      yield [
        row * spec.in + left,
        row * spec.in + right,
        (i * spec.blocksIn + j) * spec.rank + (row % spec.rank),
      ];
    }
}

/** Row o, of Monarch for each block j; scales [o, j]. */
export function* uGroups(spec: Spec): Generator<Group> {
  const groups = spec.out * (spec.structure === 'monarch' ? spec.blocksIn : 1);
  for (let group = 0; group < groups; group++) yield [group * spec.rank, (group + 1) * spec.rank, group];
}
