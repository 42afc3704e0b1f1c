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
    const builder = new terms.RowTermsBuilder(problem);
    for (let j = 0; j < problem.columns.count; j++)
      await updateColumn(engine, problem, state, grams, j, omega, builder);
    const rowTerms = builder.build();
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
  builder: terms.RowTermsBuilder,
): Promise<void> {
  const { rank } = problem;
  const residual = await terms.projectedTarget(engine, problem, state, j);
  const images = await terms.columnImages(engine, problem, state, j);
  const applied = terms.combine(problem, state.s, images);
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
  const inner = await engine.multiply(own ? await engine.multiply(vj, own) : vj, vj, 'right');
  const moved = await engine.multiply(vj, step, 'right');
  for (let i = 0; i < problem.rows.count; i++)
    await updateScale(engine, problem, state, { grams, residual, inner, moved }, i, j, omega);
  await builder.add(engine, state, j, own ? images.slice(0, j) : [], inner);
}

/** What all s_ij of a column share; `moved` is V_jᵀ·C_jj·δ of the step ω·δ that V_j took after `residual` was taken. */
interface ColumnTerms {
  readonly grams: Stack;
  readonly residual: Stack;
  readonly inner: Stack;
  readonly moved: Stack;
}

/** s_ij += ω·H⁻¹·diag(D_ij·V_j), H = G_i ∘ (V_jᵀ·C_jj·V_j); blocks of one column do not meet in the error. */
async function updateScale(
  engine: Engine,
  problem: BlastProblem,
  state: BlastState,
  { grams, residual, inner, moved }: ColumnTerms,
  i: number,
  j: number,
  omega: number,
): Promise<void> {
  const { columns, rank } = problem;
  const at = (i * columns.count + j) * rank;
  const s = state.s.subarray(at, at + rank);
  const change = terms.scaleGradient(problem, state, residual, i, j);
  const shift = terms.scaleForm(grams, moved, i);
  for (let a = 0; a < rank; a++)
    for (let c = 0; c < rank; c++) change[a] -= omega * shift[a * rank + c] * s[c];
  solveCholesky(await regularisedCholesky(engine, terms.scaleForm(grams, inner, i), rank), rank, change);
  terms.add(s, change, omega);
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
