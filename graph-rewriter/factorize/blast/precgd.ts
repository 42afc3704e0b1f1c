import { BlockrankError } from '../../errors.js';
import { stack, type Stack } from '../engine.js';
import { checkpoint, type Job } from '../job.js';
import { blockedInvertLower } from '../linalg/blocked.js';
import { solveCholesky } from '../linalg/cholesky.js';
import { randomNormal } from '../linalg/random.js';
import { regularisedCholesky } from '../linalg/regularised.js';
import { Metric } from '../metric.js';
import type { Factors } from '../types.js';
import { blockCoupling, columnCoupling, couplingGradient, rowCoupling } from './coupling.js';
import { blastProblem, type BlastProblem } from './problem.js';
import { emptyState, toFactors, type BlastState } from './state.js';
import { addScaled, objective, rowGrams, rowSums, scaledSum } from './sums.js';

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
    checkpoint(job, sweep / sweeps);
    await descent.sweep(1 - sweep / sweeps);
  }
  for (let at = 0; at < state.s.length; at++) state.s[at] *= deviation;
  return toFactors(job.spec, problem, state);
}

class Descent {
  /** Σ over blocks ‖A − Â‖², as the last update left it. */
  private loss = Infinity;

  constructor(
    private readonly job: Job,
    private readonly problem: BlastProblem,
    private readonly state: BlastState,
  ) {}

  async sweep(step: number): Promise<void> {
    await this.updateRows(step);
    const grams = await rowGrams(this.job.engine, this.problem, this.state);
    const projected = await this.updateColumns(step, grams);
    await this.updateScales(step, grams, projected);
    if (!Number.isFinite(this.loss))
      throw new BlockrankError(
        'FACTORIZATION',
        'the published descent diverged on this weight; use method als',
      );
  }

  /** U_i −= 2η(U_i·K_i − A_i·T_iᵀ)(K_i + ε)⁻¹ */
  private async updateRows(step: number): Promise<void> {
    const { engine } = this.job;
    const { rows, columns, rank } = this.problem;
    const { state, problem } = this;
    const sums = rowSums(problem);
    for (let j = 0; j < columns.count; j++) {
      const vj = this.column(j);
      columnCoupling(problem, state.s, (await engine.multiply(vj, vj, 'right')).data, j, [j], sums.coupling);
      addScaled(
        problem,
        state.s,
        (await engine.multiply(problem.target[j], vj, 'right')).data,
        j,
        sums.target,
      );
    }
    if (this.loss === Infinity)
      this.loss = objective(problem, state, sums, await rowGrams(engine, problem, state));
    const u = stack(state.u, rows.count, rows.block, rank);
    const gradient = await engine.multiply(u, stack(sums.coupling, rows.count, rank, rank));
    for (let at = 0; at < gradient.data.length; at++) gradient.data[at] -= sums.target[at];
    const inverse = await this.dampedInverses(sums.coupling, rows.count);
    const change = await engine.multiply(await engine.multiply(gradient, inverse, 'right'), inverse);
    for (let at = 0; at < state.u.length; at++) state.u[at] -= 2 * step * change.data[at];
    this.loss = objective(problem, state, sums, await rowGrams(engine, problem, state));
  }

  /** V_jᵀ −= 2η(M_j + ε)⁻¹(M_j·V_jᵀ − Σ_i s_ij ∘ U_iᵀ·A_ij); returns U_iᵀ·A_ij by column. */
  private async updateColumns(step: number, grams: Float64Array): Promise<Stack[]> {
    const { engine } = this.job;
    const { rows, columns, rank, target, energy } = this.problem;
    const { state, problem } = this;
    const projected: Stack[] = [];
    let loss = energy;
    for (let j = 0; j < columns.count; j++) {
      const y = await engine.multiply(stack(state.u, rows.count, rows.block, rank), target[j], 'left');
      projected.push(y);
      const vj = this.column(j);
      const coupling = stack(rowCoupling(problem, state.s, grams, j, [j]), 1, rank, rank);
      const wanted = scaledSum(problem, state.s, y, j);
      const gradient = await engine.multiply(coupling, vj);
      for (let at = 0; at < gradient.data.length; at++) gradient.data[at] -= wanted[at];
      const inverse = await this.dampedInverses(coupling.data, 1);
      const change = await engine.multiply(inverse, await engine.multiply(inverse, gradient), 'left');
      for (let at = 0; at < vj.data.length; at++) vj.data[at] -= 2 * step * change.data[at];
      loss +=
        inner(coupling.data, (await engine.multiply(vj, vj, 'right')).data) - 2 * inner(vj.data, wanted);
    }
    this.loss = loss;
    return projected;
  }

  /** s_ij += 2η(H + ε)⁻¹·h with H of block (i, j), or of (j, i) as published. */
  private async updateScales(step: number, grams: Float64Array, projected: readonly Stack[]): Promise<void> {
    const { rows, columns, rank, energy } = this.problem;
    const { state, problem } = this;
    const products: Float64Array[] = [];
    for (let j = 0; j < columns.count; j++) {
      const vj = this.column(j);
      products.push((await this.job.engine.multiply(vj, vj, 'right')).data);
    }
    const damping = this.damping();
    let loss = energy;
    for (let j = 0; j < columns.count; j++) {
      for (let i = 0; i < rows.count; i++) {
        const at = (i * columns.count + j) * rank;
        const s = state.s.subarray(at, at + rank);
        const h = couplingGradient(problem, state, grams, projected[j].data, products[j], i, j, [j]);
        const gradient = h.slice();
        // Entry n of a stack of [in, out] matrices is that of column n div out, row n mod out.
        const n = i * columns.count + j;
        const [row, column] =
          this.job.preconditioner !== 'corrected' ? [n % rows.count, Math.floor(n / rows.count)] : [i, j];
        const preconditioner = blockCoupling(grams, products[column], row, 0, rank, 1);
        solveCholesky(await this.damped(preconditioner, damping), rank, h);
        const own = blockCoupling(grams, products[j], i, 0, rank, 1);
        loss += this.stepScales(s, h, gradient, own, 2 * step);
      }
    }
    this.loss = loss;
  }

  /** Moves s by `step`·change and returns the block's share of the loss, sᵀHs − 2sᵀ(diag(UᵀAV)). */
  private stepScales(
    s: Float64Array,
    change: Float64Array,
    gradient: Float64Array,
    own: Float64Array,
    step: number,
  ): number {
    const rank = s.length;
    const times = (x: Float64Array, a: number) => {
      let sum = 0;
      for (let c = 0; c < rank; c++) sum += own[a * rank + c] * x[c];
      return sum;
    };
    const wanted = gradient.map((value, a) => value + times(s, a));
    for (let a = 0; a < rank; a++) s[a] += step * change[a];
    let loss = 0;
    for (let a = 0; a < rank; a++) loss += s[a] * (times(s, a) - 2 * wanted[a]);
    return loss;
  }

  /** L⁻¹ of the Cholesky factors of (matrix + ε). */
  private async dampedInverses(matrices: Float64Array, count: number): Promise<Stack> {
    const { rank } = this.problem;
    const damping = this.damping();
    const inverses = new Float64Array(matrices.length);
    for (let n = 0; n < count; n++) {
      const block = matrices.slice(n * rank * rank, (n + 1) * rank * rank);
      const l = await this.damped(block, damping);
      inverses.set(await blockedInvertLower(this.job.engine, l, rank), n * rank * rank);
    }
    return stack(inverses, count, rank, rank);
  }

  private damped(matrix: Float64Array, damping: number): Promise<Float64Array> {
    const { rank } = this.problem;
    for (let k = 0; k < rank; k++) matrix[k * rank + k] += damping;
    return regularisedCholesky(this.job.engine, matrix, rank);
  }

  private damping(): number {
    return DAMPING * Math.sqrt(Math.max(this.loss, 0));
  }

  private column(j: number): Stack {
    const { columns, rank } = this.problem;
    const length = rank * columns.block;
    return stack(this.state.v.subarray(j * length, (j + 1) * length), 1, rank, columns.block);
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

function inner(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at] * b[at];
  return sum;
}
