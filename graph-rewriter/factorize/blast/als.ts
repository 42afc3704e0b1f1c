import { stack, type Engine, type Stack } from '../engine.js';
import { checkpoint, type Job } from '../job.js';
import { blockedInvertLower } from '../linalg/blocked.js';
import { solveCholesky } from '../linalg/cholesky.js';
import { regularisedCholesky } from '../linalg/regularised.js';
import type { Factors } from '../types.js';
import { blockCoupling, columnCoupling, couplingGradient, rowCoupling } from './coupling.js';
import { blastProblem, type BlastProblem } from './problem.js';
import { cloneState, fromFactors, toFactors, type BlastState } from './state.js';
import { addScaled, objective, rowGrams, rowSums, scaledSum, type RowSums } from './sums.js';

const SWEEPS = 40;
/** Over-relaxation falls linearly from the first to the last sweep; every step descends for 0 < ω < 2. */
const RELAXATION = [1.9, 1.0] as const;

/**
 * Alternating exact block updates of V_j, s_ij and U_i on tr(E·C·Eᵀ), E = diag(d)·W − Ŵ, over-relaxed by ω.
 *
 * The residual is never formed. Each step's gradient is expanded into the fixed (A·C)_ij, which two products a sweep
 * pass over, and r × r sums (coupling.ts): 4·in·out·r operations a sweep in place of 12·in·out·r + 4·in²·out. The
 * cancellation this costs is why it runs in double.
 */
export async function fitBlastAls(job: Job, start: Factors): Promise<Factors> {
  const problem = await blastProblem(job);
  const state = fromFactors(problem, start, job.outputScale);
  const sweeps = job.iterations ?? SWEEPS;
  const [first, last] = job.relaxation ?? RELAXATION;
  let grams = await rowGrams(job.engine, problem, state);
  let best = { error: Infinity, state };
  for (let sweep = 0; sweep < sweeps; sweep++) {
    checkpoint(job, sweep / sweeps);
    const omega = first + (last - first) * (sweeps > 1 ? sweep / (sweeps - 1) : 1);
    const sums = rowSums(problem);
    for (let j = 0; j < problem.columns.count; j++)
      await updateColumn(job.engine, problem, state, grams, j, omega, sums);
    await updateRows(job.engine, problem, state, sums, omega);
    grams = await rowGrams(job.engine, problem, state);
    const error = objective(problem, state, sums, grams);
    if (error < best.error) best = { error, state: cloneState(state) };
  }
  return toFactors(job.spec, problem, best.state, job.outputScale);
}

/** V_j, then s_ij for all i; then column j's share of the sums for U. */
async function updateColumn(
  engine: Engine,
  problem: BlastProblem,
  state: BlastState,
  grams: Float64Array,
  j: number,
  omega: number,
  sums: RowSums,
): Promise<void> {
  const { rows, columns, rank, covariance } = problem;
  const p = columns.block;
  // Columns whose error reaches into column j: all of them under a covariance.
  const reach = covariance ? Array.from({ length: columns.count }, (_, k) => k) : [j];
  const own = reach.indexOf(j);
  const v = state.v.subarray(j * rank * p, (j + 1) * rank * p);
  const vj = stack(v, 1, rank, p);
  const vAll = covariance ? stack(state.v, columns.count, rank, p) : vj;

  const projected = await engine.multiply(
    stack(state.u, rows.count, rows.block, rank),
    problem.target[j],
    'left',
  );
  const weighted = covariance ? (await engine.multiply(vAll, covariance[j])).data : v.slice();
  const coupling = rowCoupling(problem, state.s, grams, j, reach);
  const pull = await engine.multiply(
    stack(coupling, 1, rank, reach.length * rank),
    stack(weighted, 1, reach.length * rank, p),
  );
  const gradient = stack(scaledSum(problem, state.s, projected, j), 1, rank, p);
  for (let at = 0; at < v.length; at++) gradient.data[at] -= pull.data[at];
  const l = await regularisedCholesky(engine, ownBlock(coupling, rank, reach.length, own), rank);
  let step = await applyInverse(engine, l, rank, gradient);
  if (problem.inverse) step = await engine.multiply(step, problem.inverse[j]);
  for (let at = 0; at < v.length; at++) v[at] += omega * step.data[at];

  const fresh = covariance ? await engine.multiply(vj, ownCovariance(covariance[j], j)) : vj;
  weighted.set(fresh.data, own * rank * p);
  const products = await engine.multiply(vj, stack(weighted, 1, reach.length * rank, p), 'right');
  await updateScales(engine, problem, state, grams, projected, products.data, j, reach, omega);

  columnCoupling(problem, state.s, products.data, j, reach, sums.coupling);
  const seen = await engine.multiply(problem.target[j], vj, 'right');
  addScaled(problem, state.s, seen.data, j, sums.target);
}

/** s_ij += ω·H⁻¹·h with H = G_i ∘ P_jj; blocks of one column do not meet, so all i take their step at once. */
async function updateScales(
  engine: Engine,
  problem: BlastProblem,
  state: BlastState,
  grams: Float64Array,
  projected: Stack,
  products: Float64Array,
  j: number,
  reach: readonly number[],
  omega: number,
): Promise<void> {
  const { rows, columns, rank } = problem;
  const own = reach.indexOf(j);
  for (let i = 0; i < rows.count; i++) {
    const h = couplingGradient(problem, state, grams, projected.data, products, i, j, reach);
    const l = await regularisedCholesky(
      engine,
      blockCoupling(grams, products, i, own, rank, reach.length),
      rank,
    );
    solveCholesky(l, rank, h);
    const at = (i * columns.count + j) * rank;
    for (let k = 0; k < rank; k++) state.s[at + k] += omega * h[k];
  }
}

/** U_i += ω·(A_i·C·T_iᵀ − U_i·K_i)·K_i⁻¹ for all i at once. */
async function updateRows(
  engine: Engine,
  { rows, rank }: BlastProblem,
  state: BlastState,
  sums: RowSums,
  omega: number,
): Promise<void> {
  const u = stack(state.u, rows.count, rows.block, rank);
  const fitted = await engine.multiply(u, stack(sums.coupling, rows.count, rank, rank));
  const gradient = new Float64Array(state.u.length);
  for (let at = 0; at < gradient.length; at++) gradient[at] = sums.target[at] - fitted.data[at];
  const inverses = new Float64Array(rows.count * rank * rank);
  for (let i = 0; i < rows.count; i++) {
    const block = sums.coupling.subarray(i * rank * rank, (i + 1) * rank * rank);
    const l = await regularisedCholesky(engine, block, rank);
    inverses.set(await blockedInvertLower(engine, l, rank), i * rank * rank);
  }
  const inverse = stack(inverses, rows.count, rank, rank);
  const half = await engine.multiply(stack(gradient, rows.count, rows.block, rank), inverse, 'right');
  const step = await engine.multiply(half, inverse);
  for (let at = 0; at < state.u.length; at++) state.u[at] += omega * step.data[at];
}

async function applyInverse(engine: Engine, l: Float64Array, n: number, right: Stack): Promise<Stack> {
  const inverse = stack(await blockedInvertLower(engine, l, n), 1, n, n);
  return engine.multiply(inverse, await engine.multiply(inverse, right), 'left');
}

function ownBlock(coupling: Float64Array, rank: number, reach: number, own: number): Float64Array {
  if (reach === 1) return coupling;
  const block = new Float64Array(rank * rank);
  for (let a = 0; a < rank; a++) {
    const from = (a * reach + own) * rank;
    block.set(coupling.subarray(from, from + rank), a * rank);
  }
  return block;
}

function ownCovariance(column: Stack, j: number): Stack {
  const { rows: p } = column;
  return stack(column.data.subarray(j * p * p, (j + 1) * p * p), 1, p, p);
}
