import { stack } from './engine.js';
import { checkpoint, type Job } from './job.js';
import { nearestLowRank, type LowRank } from './low-rank.js';
import { energy } from './measure.js';
import type { Metric } from './metric.js';
import { partition, range } from './partition.js';
import { submatrix } from './rows.js';
import type { Factors } from './types.js';
import { unscaleRows } from './scale.js';

/** Refinement sweeps under a covariance that couples the blocks of a row. */
const SWEEPS = 3;

/**
 * Every block's truncated SVD, in the metric C_jj of its columns. That is optimal where C is block diagonal;
 * elsewhere the blocks of a row interact through C_jk, and sweeps of exact block updates follow:
 * with E the row's error, block j becomes the nearest low-rank matrix in C_jj to Ŵ_ij + (E·C)_j·C_jj⁻¹.
 */
export async function fitMonarch(job: Job): Promise<Factors> {
  const { weight, spec } = job;
  const columns = partition(weight.in, spec.blocksIn);
  const rows = partition(weight.out, spec.blocksOut);
  const metrics = Array.from({ length: spec.blocksIn }, (_, j) => job.metric.principal(...range(columns, j)));
  const sweeps = job.metric.isIdentity || spec.blocksIn === 1 ? 0 : (job.iterations ?? SWEEPS);
  const factors: Factors = {
    ...spec,
    in: weight.in,
    out: weight.out,
    V: new Float32Array(spec.blocksOut * spec.rank * weight.in),
    U: new Float32Array(weight.out * spec.blocksIn * spec.rank),
  };
  for (let i = 0; i < spec.blocksOut; i++) {
    const blocks: LowRank[] = [];
    for (let j = 0; j < spec.blocksIn; j++) {
      await checkpoint(job, (i + j / spec.blocksIn / (sweeps + 1)) / spec.blocksOut);
      const block = submatrix(weight.data, weight.in, range(rows, i), range(columns, j), job.outputScale);
      blocks.push(await nearestLowRank(job.engine, block, metrics[j], spec.rank));
    }
    if (sweeps > 0) await refineRow(job, i, blocks, metrics, sweeps);
    blocks.forEach((block, j) => store(factors, i, j, block));
  }
  unscaleRows(factors.U, job.outputScale);
  return factors;
}

/** Block coordinate descent over the blocks of row i; each step is an exact minimiser, so the error never rises. */
async function refineRow(
  job: Job,
  i: number,
  blocks: LowRank[],
  metrics: Metric[],
  sweeps: number,
): Promise<void> {
  const { engine, weight, spec, metric } = job;
  const columns = partition(weight.in, spec.blocksIn);
  const [top, bottom] = range(partition(weight.out, spec.blocksOut), i);
  const height = bottom - top;
  const error = submatrix(weight.data, weight.in, [top, bottom], [0, weight.in], job.outputScale).read(
    0,
    height,
  );
  const change = async (j: number, sign: 1 | -1) => {
    const [left, right] = range(columns, j);
    const { left: u, right: v, rank } = blocks[j];
    const block = await engine.multiply(stack(u, 1, height, rank), stack(v, 1, rank, right - left));
    for (let o = 0; o < height; o++)
      for (let c = left; c < right; c++)
        error.data[o * weight.in + c] += sign * block.data[o * (right - left) + c - left];
  };
  for (let j = 0; j < spec.blocksIn; j++) await change(j, -1);
  const objective = async () => energy(error, await metric.apply(engine, error));
  const start = { blocks: [...blocks], objective: await objective() };
  for (let sweep = 0; sweep < sweeps; sweep++) {
    for (let j = 0; j < spec.blocksIn; j++) {
      await checkpoint(job, (i + (1 + sweep + j / spec.blocksIn) / (sweeps + 1)) / spec.blocksOut);
      const [left, right] = range(columns, j);
      await change(j, 1);
      // With Ŵ_ij taken out of the error, the target is (E·C)_j·C_jj⁻¹ alone.
      const column = stack(metric.block(0, weight.in, left, right), 1, weight.in, right - left);
      const weighted = await engine.multiply(error, column);
      const target = await engine.multiply(weighted, await metrics[j].inverse(engine));
      const source = submatrix(target.data, right - left, [0, height], [0, right - left]);
      blocks[j] = await nearestLowRank(engine, source, metrics[j], spec.rank);
      await change(j, -1);
    }
  }
  // Each step is a minimiser up to rounding; this makes it certain that refinement never costs anything.
  if ((await objective()) > start.objective) blocks.splice(0, blocks.length, ...start.blocks);
}

function store(factors: Factors, i: number, j: number, { left, right, rank }: LowRank): void {
  const [start, end] = range(partition(factors.in, factors.blocksIn), j);
  const width = end - start;
  for (let k = 0; k < rank; k++)
    factors.V.set(right.subarray(k * width, (k + 1) * width), (i * rank + k) * factors.in + start);
  const [top, bottom] = range(partition(factors.out, factors.blocksOut), i);
  for (let o = top; o < bottom; o++)
    factors.U.set(left.subarray((o - top) * rank, (o - top + 1) * rank), (o * factors.blocksIn + j) * rank);
}
