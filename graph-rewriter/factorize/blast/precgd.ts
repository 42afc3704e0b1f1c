import { BlockrankError } from '../../errors.js';
import { stack, type Stack } from '../engine.js';
import { checkpoint, type Job } from '../job.js';
import { blockedInvertLower } from '../linalg/blocked.js';
import { solveCholesky } from '../linalg/cholesky.js';
import { randomNormal } from '../linalg/random.js';
import { regularisedCholesky } from '../linalg/regularised.js';
import { Metric } from '../metric.js';
import type { Factors } from '../types.js';
import { blastProblem, type BlastProblem } from './problem.js';
import { emptyState, toFactors, type BlastState } from './state.js';
import * as terms from './terms.js';

const PUBLISHED_SWEEPS = 300;
/** δ of the damping δ·‖A − Â‖_F that is added to every preconditioner's diagonal. */
const DAMPING = 0.1;

/**
 * The preconditioned gradient descent that BLAST was published with (arXiv 2410.21262, algorithm 2; ops/blast_ops.py of
 * its repository), kept for comparison: on A = W / std(W), all U_i, then all V_j, then all s_ij step against the gradient
 * of ‖A − Â‖² (with its factor 2), preconditioned by the damped Gram matrix of what they multiply; the step size falls
 * linearly from 1 to 0. Weights only: no covariance and no output scale enters.
 *
 * The published code preconditions s_ij with the matrix of block (j, i): its stack of Gram matrices is indexed
 * [in, out] and flattened against gradients indexed [out, in]. `published` does the same, `corrected` uses (i, j).
 */
export async function fitBlastPrecgd(job: Job): Promise<Factors> {
  const deviation = standardDeviation(job.weight.data) || 1;
  const data = job.weight.data.map((value) => value / deviation);
  const metric = Metric.identity(job.weight.in);
  const problem = await blastProblem({
    engine: job.engine,
    weight: { ...job.weight, data },
    spec: job.spec,
    metric,
  });
  const state = randomState(problem, job.seed);
  const sweeps = job.iterations ?? PUBLISHED_SWEEPS;
  const descent = new Descent(job, problem, state);
  for (let sweep = 0; sweep < sweeps; sweep++) {
    await checkpoint(job, sweep / sweeps);
    await descent.sweep(2 * (1 - sweep / sweeps));
  }
  for (let at = 0; at < state.s.length; at++) state.s[at] *= deviation;
  return toFactors(job.spec, problem, state);
}

/** Each update measures the loss first: it sets the damping of that update. */
class Descent {
  constructor(
    private readonly job: Job,
    private readonly problem: BlastProblem,
    private readonly state: BlastState,
  ) {}

  /** `step` is twice the step size: the gradients in terms.ts are half of those of ‖A − Â‖². */
  async sweep(step: number): Promise<void> {
    const { problem, state } = this;
    const { engine } = this.job;
    await this.updateRows(step);
    const grams = await terms.rowGrams(engine, problem, state);
    const targets: Stack[] = [];
    for (let j = 0; j < problem.columns.count; j++)
      targets.push(await terms.projectedTarget(engine, problem, state, j));
    await this.updateColumns(step, grams, targets);
    await this.updateScales(step, grams, targets);
  }

  /** U_i += step·(A_i·T_iᵀ − U_i·K_i)(K_i + ε)⁻¹ */
  private async updateRows(step: number): Promise<void> {
    const { engine } = this.job;
    const { problem, state } = this;
    const { rows, rank } = problem;
    const builder = new terms.RowTermsBuilder(problem);
    for (let j = 0; j < problem.columns.count; j++) {
      const vj = terms.column(problem, state, j);
      const own = { first: j, count: 1, data: vj.data };
      await builder.add(engine, state, j, own, await engine.multiply(vj, vj, 'right'));
    }
    const rowTerms = builder.build();
    const { target, form } = rowTerms;
    const damping = this.damping(
      terms.objective(problem, state, rowTerms, await terms.rowGrams(engine, problem, state)),
    );
    const gradient = await engine.multiply(stack(state.u, rows.count, rows.block, rank), form);
    for (let at = 0; at < gradient.data.length; at++) gradient.data[at] = target.data[at] - gradient.data[at];
    const inverses = new Float64Array(form.data.length);
    for (let i = 0; i < rows.count; i++) {
      const at = i * rank * rank;
      inverses.set(await this.inverse(form.data.slice(at, at + rank * rank), damping), at);
    }
    const inverse = stack(inverses, rows.count, rank, rank);
    const change = await engine.multiply(await engine.multiply(gradient, inverse, 'right'), inverse);
    terms.add(state.u, change.data, step);
  }

  /** V_jᵀ += step·(M_j + ε)⁻¹·Σ_i diag(s_ij)·U_iᵀ·E_ij */
  private async updateColumns(step: number, grams: Stack, targets: readonly Stack[]): Promise<void> {
    const { engine } = this.job;
    const { problem, state } = this;
    const { rank } = problem;
    const { residuals, damping } = await this.residuals(grams, targets);
    for (const [j, residual] of residuals.entries()) {
      const form = terms.columnForm(engine, problem, state.s, grams, j);
      const inverse = stack(await this.inverse(form, damping), 1, rank, rank);
      const half = await engine.multiply(inverse, terms.scaledSum(engine, problem, state.s, j, residual));
      const change = await engine.multiply(inverse, half, 'left');
      terms.add(terms.column(problem, state, j).data, change.data, step);
    }
  }

  /** s_ij += step·(H + ε)⁻¹·diag(U_iᵀ·E_ij·V_j), H of block (i, j) or, as published, of the block in its place. */
  private async updateScales(step: number, grams: Stack, targets: readonly Stack[]): Promise<void> {
    const { problem, state } = this;
    const { rows, columns, rank } = problem;
    const { residuals, damping } = await this.residuals(grams, targets);
    const inner: Stack[] = [];
    for (let j = 0; j < columns.count; j++) {
      const vj = terms.column(problem, state, j);
      inner.push(await this.job.engine.multiply(vj, vj, 'right'));
    }
    for (const [j, residual] of residuals.entries()) {
      for (let i = 0; i < rows.count; i++) {
        const change = terms.scaleGradient(problem, state, residual, i, j);
        // Entry n of a stack of [in, out] matrices is that of column n div out, row n mod out.
        const n = i * columns.count + j;
        const [row, column] =
          this.job.preconditioner === 'corrected' ? [i, j] : [n % rows.count, Math.floor(n / rows.count)];
        const form = terms.scaleForm(grams, inner[column], row);
        solveCholesky(await this.damped(form, damping), rank, change);
        terms.add(state.s.subarray(n * rank, (n + 1) * rank), change, step);
      }
    }
  }

  /** U_iᵀ·E_ij by column; ‖E‖² = ⟨A, A⟩ − ⟨A, Â⟩ − ⟨E, Â⟩ sets the damping. */
  private async residuals(grams: Stack, targets: readonly Stack[]) {
    const { problem, state } = this;
    const { engine } = this.job;
    let loss = problem.energy;
    const residuals: Stack[] = [];
    for (const [j, { data, batch, rows, cols }] of targets.entries()) {
      const images = await terms.columnImages(engine, problem, state, j);
      const applied = terms.combine(engine, problem, state.s, images);
      const residual = stack(data.slice(), batch, rows, cols);
      terms.add(residual.data, (await engine.multiply(grams, applied)).data, -1);
      loss -= terms.inner(applied.data, data) + terms.inner(applied.data, residual.data);
      residuals.push(residual);
    }
    return { residuals, damping: this.damping(loss) };
  }

  private damping(loss: number): number {
    if (!Number.isFinite(loss))
      throw new BlockrankError(
        'FACTORIZATION',
        'the published descent diverged on this weight; use method als',
      );
    return DAMPING * Math.sqrt(Math.max(loss, 0));
  }

  /** L⁻¹ of the Cholesky factor L of (form + ε). */
  private async inverse(form: Float64Array, damping: number): Promise<Float64Array> {
    return blockedInvertLower(this.job.engine, await this.damped(form, damping), this.problem.rank);
  }

  private damped(form: Float64Array, damping: number): Promise<Float64Array> {
    const { rank } = this.problem;
    for (let k = 0; k < rank; k++) form[k * rank + k] += damping;
    return regularisedCholesky(this.job.engine, form, rank);
  }
}

/** U, V ~ 1e-3/√r · N(0, 1), S ~ N(0, 1); padding stays zero. */
function randomState(problem: BlastProblem, seed: number): BlastState {
  const { rows, columns, rank } = problem;
  const random = randomNormal(seed);
  const state = emptyState(problem);
  const scale = 1e-3 / Math.sqrt(rank);
  for (let at = 0; at < rows.size * rank; at++) state.u[at] = scale * random();
  for (let j = 0; j < columns.count; j++) {
    const width = Math.min(columns.block, columns.size - j * columns.block);
    for (let k = 0; k < rank; k++)
      for (let c = 0; c < width; c++) state.v[(j * rank + k) * columns.block + c] = scale * random();
  }
  for (let at = 0; at < state.s.length; at++) state.s[at] = random();
  return state;
}

function standardDeviation(data: Float32Array): number {
  let sum = 0;
  for (const value of data) sum += value;
  const mean = sum / data.length;
  let square = 0;
  for (const value of data) square += (value - mean) ** 2;
  return Math.sqrt(square / Math.max(data.length - 1, 1));
}
