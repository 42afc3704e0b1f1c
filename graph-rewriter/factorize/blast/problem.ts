import { energy } from '../measure.js';
import { stack, type Stack } from '../engine.js';
import type { Job } from '../job.js';
import { partition, range, type Partition } from '../partition.js';
import { Room } from '../room.js';
import { chunks, submatrix } from '../rows.js';

/**
 * What does not change while BLAST factors are fitted to A = diag(d)·W in the metric C: blocks are padded with zeros to full
 * size (C with ones on its diagonal there), which keeps the padded parts of the factors exactly zero.
 */
export interface BlastProblem {
  readonly rows: Partition;
  readonly columns: Partition;
  readonly rank: number;
  /** For each column block j: (A·C)_ij over all i, [blocksOut, q, p]. */
  readonly target: readonly Stack[];
  /** For each column block j: C_kj over all k, [blocksIn, p, p]; absent for C = I. */
  readonly covariance?: readonly Stack[];
  /** C_jj⁻¹, [1, p, p]; absent for C = I. */
  readonly inverse?: readonly Stack[];
  /** tr(A·C·Aᵀ) */
  readonly energy: number;
  /** For what the steps compute on their way. */
  readonly room: Room;
}

type ProblemInput = Pick<Job, 'engine' | 'weight' | 'spec' | 'metric' | 'outputScale'>;

/** Absent `outputScale`: d = 1. */
export async function blastProblem(job: ProblemInput): Promise<BlastProblem> {
  const { weight, spec, metric, engine } = job;
  const rows = partition(weight.out, spec.blocksOut);
  const columns = partition(weight.in, spec.blocksIn);
  const target = await weightedBlocks(job, rows, columns);
  const problem = {
    rows,
    columns,
    rank: spec.rank,
    target: target.blocks,
    energy: target.energy,
    room: new Room(),
  };
  if (metric.isIdentity) return problem;
  const covariance: Stack[] = [];
  const inverse: Stack[] = [];
  for (let j = 0; j < columns.count; j++) {
    covariance.push(covarianceColumn(job, columns, j));
    const [start, end] = range(columns, j);
    inverse.push(pad(await metric.principal(start, end).inverse(engine), columns.block));
  }
  return { ...problem, covariance, inverse };
}

async function weightedBlocks(job: ProblemInput, rows: Partition, columns: Partition) {
  const { weight, metric, engine } = job;
  const { block: q } = rows;
  const { block: p } = columns;
  const blocks = Array.from({ length: columns.count }, () =>
    stack(new Float64Array(rows.count * q * p), rows.count, q, p),
  );
  let total = 0;
  // Block rows follow each other without gaps, so row o of W is row o of every padded column block as well.
  for (const { start, values } of chunks(
    submatrix(weight.data, weight.in, [0, weight.out], [0, weight.in], job.outputScale),
  )) {
    const weighted = await metric.apply(engine, values);
    total += energy(values, weighted);
    blocks.forEach((block, j) => {
      const [left, right] = range(columns, j);
      for (let o = 0; o < weighted.rows; o++)
        block.data.set(weighted.data.subarray(o * weight.in + left, o * weight.in + right), (start + o) * p);
    });
  }
  return { blocks, energy: total };
}

function covarianceColumn({ metric }: ProblemInput, columns: Partition, j: number): Stack {
  const { block: p, count } = columns;
  const values = new Float64Array(count * p * p);
  for (let k = 0; k < count; k++) {
    const [top, bottom] = range(columns, k);
    const [left, right] = range(columns, j);
    const part = pad(
      stack(metric.block(top, bottom, left, right), 1, bottom - top, right - left),
      p,
      k === j,
    );
    values.set(part.data, k * p * p);
  }
  return stack(values, count, p, p);
}

/** Extends a matrix to size × size by zeros, or by ones on the diagonal. */
function pad(m: Stack, size: number, diagonal = true): Stack {
  const values = new Float64Array(size * size);
  for (let r = 0; r < m.rows; r++) values.set(m.data.subarray(r * m.cols, (r + 1) * m.cols), r * size);
  for (let r = m.rows; diagonal && r < size; r++) values[r * size + r] = 1;
  return stack(values, 1, size, size);
}
