import { stack, type Engine, type Stack } from '../engine.js';
import { checkpoint, type Job } from '../job.js';
import { blockedInvertLower, invertLowers } from '../linalg/blocked.js';
import { regularisedCholeskies, regularisedCholesky } from '../linalg/regularised.js';
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
    await checkpoint(job, sweep / sweeps);
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
  const { rank, room } = problem;
  const { block } = problem.columns;
  const residual = await terms.projectedTarget(engine, problem, state, j);
  const images = await terms.columnImages(engine, problem, state, j);
  const applied = terms.combine(engine, problem, state.s, images);
  const fitted = await engine.multiply(grams, applied, 'none', room.of('fitted', applied.data.length));
  terms.add(residual.data, fitted.data, -1);

  const form = terms.columnForm(engine, problem, state.s, grams, j);
  const l = await regularisedCholesky(engine, form, rank);
  const inverse = stack(await blockedInvertLower(engine, l, rank), 1, rank, rank);
  const next = (use: string) => room.of(use, rank * block);
  const sum = terms.scaledSum(engine, problem, state.s, j, residual);
  const half = await engine.multiply(inverse, sum, 'none', next('half'));
  let step = await engine.multiply(inverse, half, 'left', next('whole'));
  if (problem.inverse) step = await engine.multiply(step, problem.inverse[j], 'none', next('step'));
  const vj = terms.column(problem, state, j);
  terms.add(vj.data, step.data, omega);

  const own = problem.covariance && ownCovariance(problem.covariance[j], j);
  if (own) step = await engine.multiply(step, own, 'none', next('moved step'));
  const image = own ? await engine.multiply(vj, own, 'none', next('image')) : vj;
  const inner = await engine.multiply(image, vj, 'right', room.of('inner', rank * rank));
  const moved = await engine.multiply(vj, step, 'right', room.of('moved', rank * rank));
  await updateScales(engine, problem, state, { grams, residual, inner, moved }, j, omega);
  await builder.add(engine, state, j, images, inner);
}

/** What all s_ij of a column share; `moved` is V_jᵀ·C_jj·δ of the step ω·δ that V_j took after `residual` was taken. */
interface ColumnTerms {
  readonly grams: Stack;
  readonly residual: Stack;
  readonly inner: Stack;
  readonly moved: Stack;
}

/** s_ij += ω·H⁻¹·diag(D_ij·V_j), H = G_i ∘ (V_jᵀ·C_jj·V_j), for all i at once: blocks of one column do not meet in the error. */
async function updateScales(
  engine: Engine,
  problem: BlastProblem,
  state: BlastState,
  { grams, residual, inner, moved }: ColumnTerms,
  j: number,
  omega: number,
): Promise<void> {
  const { loops } = engine;
  const { rows, rank } = problem;
  const scales = terms.columnScales(problem, state.s, j);
  const changes = terms.scaleGradients(engine, problem, state, residual, j);
  loops.addScaleShift(-omega, grams.data, moved.data, scales, rows.count, rank, changes);
  const forms = terms.scaleForms(engine, problem, grams, inner);
  const factors = await regularisedCholeskies(engine, forms, rank, rows.count);
  loops.solveCholesky(factors, rank, rows.count, changes);
  for (let i = 0; i < rows.count; i++)
    for (let k = 0; k < rank; k++) scales.data[i * scales.outer + k] += omega * changes[i * rank + k];
}

/** U_i += ω·(A_i·C·T_iᵀ − U_i·K_i)·K_i⁻¹ with K_i = T_i·C·T_iᵀ, for all i at once. */
async function updateRows(
  engine: Engine,
  { rows, rank, room }: BlastProblem,
  state: BlastState,
  { target, form }: terms.RowTerms,
  omega: number,
): Promise<void> {
  const next = (use: string) => room.of(use, target.data.length);
  const u = stack(state.u, rows.count, rows.block, rank);
  const gradient = await engine.multiply(u, form, 'none', next('row gradient'));
  for (let at = 0; at < gradient.data.length; at++) gradient.data[at] = target.data[at] - gradient.data[at];
  const factors = await regularisedCholeskies(engine, form.data, rank, rows.count);
  const inverse = await invertLowers(engine, factors, rank, rows.count);
  const half = await engine.multiply(gradient, inverse, 'right', next('row half'));
  const step = await engine.multiply(half, inverse, 'none', next('row step'));
  terms.add(state.u, step.data, omega);
}

function ownCovariance(columnBlocks: Stack, j: number): Stack {
  const { rows: p } = columnBlocks;
  return stack(columnBlocks.data.subarray(j * p * p, (j + 1) * p * p), 1, p, p);
}
