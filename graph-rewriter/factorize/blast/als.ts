import { stack, type Engine, type Stack } from '../engine.js';
import { checkpoint, type Job } from '../job.js';
import { blockedInvertLower } from '../linalg/blocked.js';
import { solveCholesky } from '../linalg/cholesky.js';
import { regularisedCholesky } from '../linalg/regularised.js';
import type { Factors } from '../types.js';
import { blastProblem, type BlastProblem } from './problem.js';
import { cloneState, fromFactors, toFactors, type BlastState } from './state.js';
import * as terms from './terms.js';

const SWEEPS = 40;
/** Over-relaxation falls linearly from the first to the last sweep; every step descends for 0 < ω < 2. */
const RELAXATION = [1.9, 1.0] as const;

/**
 * Alternating exact block updates of V_j, s_ij and U_i on tr(E·C·Eᵀ), E = diag(d)·W − Ŵ, over-relaxed by ω.
 *
 * The residual is never formed (terms.ts): two products a sweep pass over the fixed A·C, 4·in·out·r operations in place
 * of the 12·in·out·r + 4·in²·out of updating E and multiplying it by C. The cancellation is why it runs in double.
 */
export async function fitBlastAls(job: Job, start: Factors): Promise<Factors> {
  const { engine } = job;
  const problem = await blastProblem(job);
  const state = fromFactors(problem, start, job.outputScale);
  const sweeps = job.iterations ?? SWEEPS;
  const [first, last] = job.relaxation ?? RELAXATION;
  let grams = await terms.rowGrams(engine, problem, state);
  let best = { error: Infinity, state };
  for (let sweep = 0; sweep < sweeps; sweep++) {
    checkpoint(job, sweep / sweeps);
    const omega = first + (last - first) * (sweeps > 1 ? sweep / (sweeps - 1) : 1);
    for (let j = 0; j < problem.columns.count; j++)
      await updateColumn(engine, problem, state, grams, j, omega);
    const rowTerms = await terms.rowTerms(engine, problem, state);
    await updateRows(engine, problem, state, rowTerms, omega);
    grams = await terms.rowGrams(engine, problem, state);
    const error = terms.objective(problem, state, rowTerms, grams);
    if (error < best.error) best = { error, state: cloneState(state) };
  }
  return toFactors(job.spec, problem, best.state, job.outputScale);
}

/** V_jᵀ += ω·M⁻¹·(Σ_i diag(s_ij)·D_i)·C_jj⁻¹ with D_i = U_iᵀ·(E·C)_ij and M its quadratic form; then s_ij for all i. */
async function updateColumn(
  engine: Engine,
  problem: BlastProblem,
  state: BlastState,
  grams: Stack,
  j: number,
  omega: number,
): Promise<void> {
  const { rows, columns, rank } = problem;
  const residual = await terms.projectedTarget(engine, problem, state, j);
  const applied = await terms.appliedColumn(engine, problem, state, j);
  terms.add(residual.data, (await engine.multiply(grams, applied)).data, -1);

  const l = await regularisedCholesky(engine, terms.columnForm(problem, state.s, grams, j), rank);
  const inverse = stack(await blockedInvertLower(engine, l, rank), 1, rank, rank);
  const half = await engine.multiply(inverse, terms.scaledSum(problem, state.s, j, residual));
  let step = await engine.multiply(inverse, half, 'left');
  if (problem.inverse) step = await engine.multiply(step, problem.inverse[j]);
  const vj = terms.column(problem, state, j);
  terms.add(vj.data, step.data, omega);

  const own = problem.covariance && ownCovariance(problem.covariance[j], j);
  if (own) step = await engine.multiply(step, own);
  const moved = stack(new Float64Array(residual.data.length), rows.count, rank, columns.block);
  terms.addScaled(problem, state.s, j, step.data, moved.data);
  terms.add(residual.data, (await engine.multiply(grams, moved)).data, -omega);
  const inner = await engine.multiply(own ? await engine.multiply(vj, own) : vj, vj, 'right');
  for (let i = 0; i < rows.count; i++) {
    // Blocks of one column do not meet in the error, so every s_ij takes its step from the same residual.
    const change = terms.scaleGradient(problem, state, residual, i, j);
    solveCholesky(await regularisedCholesky(engine, terms.scaleForm(grams, inner, i), rank), rank, change);
    const at = (i * columns.count + j) * rank;
    terms.add(state.s.subarray(at, at + rank), change, omega);
  }
}

/** U_i += ω·(A_i·C·T_iᵀ − U_i·K_i)·K_i⁻¹ with K_i = T_i·C·T_iᵀ, for all i at once. */
async function updateRows(
  engine: Engine,
  { rows, rank }: BlastProblem,
  state: BlastState,
  { target, form }: terms.RowTerms,
  omega: number,
): Promise<void> {
  const gradient = await engine.multiply(stack(state.u, rows.count, rows.block, rank), form);
  for (let at = 0; at < gradient.data.length; at++) gradient.data[at] = target.data[at] - gradient.data[at];
  const inverses = new Float64Array(form.data.length);
  for (let i = 0; i < rows.count; i++) {
    const at = i * rank * rank;
    const l = await regularisedCholesky(engine, form.data.subarray(at, at + rank * rank), rank);
    inverses.set(await blockedInvertLower(engine, l, rank), at);
  }
  const inverse = stack(inverses, rows.count, rank, rank);
  const step = await engine.multiply(await engine.multiply(gradient, inverse, 'right'), inverse);
  terms.add(state.u, step.data, omega);
}

function ownCovariance(columnBlocks: Stack, j: number): Stack {
  const { rows: p } = columnBlocks;
  return stack(columnBlocks.data.subarray(j * p * p, (j + 1) * p * p), 1, p, p);
}
