import { fitBlastAls } from './blast/als.js';
import { fitBlastPrecgd } from './blast/precgd.js';
import { dequantize, quantize } from './int8/index.js';
import { checkpoint, type Job } from './job.js';
import { defaultEngine, type Engine } from './engine.js';
import { nearestLowRank } from './low-rank.js';
import { measureErrors, weightEnergies } from './measure.js';
import { Metric } from './metric.js';
import { fitMonarch } from './monarch.js';
import { checkRequest } from './request.js';
import { submatrix } from './rows.js';
import { unscaleRows } from './scale.js';
import type { Factorization, FactorizeRequest, Factors, StructureSpec } from './types.js';

export { createEngine, type Engine, type EngineOptions } from './engine.js';
export { dequantize, quantize } from './int8/index.js';
export { reconstruct } from './reconstruct.js';
export { blocksFit, factorSize, largestRank } from './size.js';

/**
 * Factors of a dense weight in one of the structures of docs/operators.md, fitted to the weight alone or, given a
 * covariance, to what it does to its inputs. Formulas, cost and measurements: docs/factorization.md.
 *
 * @throws BlockrankError INVALID_ARGUMENT for sizes, options and covariances that make no sense; FACTORIZATION for a
 *   weight that is not finite, blocks that do not fit it and a rank that would not shrink it (the message has the
 *   largest that would); ABORTED; ORT_NOT_FOUND.
 */
export async function factorize(request: FactorizeRequest): Promise<Factorization> {
  checkRequest(request);
  const { weight, covariance, outputScale } = request;
  const engine: Engine = request.engine ?? defaultEngine();
  const metric = covariance ? await Metric.of(engine, weight.in, covariance) : Metric.identity(weight.in);
  const job: Job = { ...request, engine, metric, seed: request.seed ?? 0 };
  await checkpoint(job, 0);
  const fitted = await fit(job);
  const integers =
    request.factorType === 'int8' ? quantize(fitted, covariance && diagonal(covariance)) : undefined;
  const factors = integers ? dequantize(integers) : fitted;
  const reported = metric.withoutRidge();
  const energies = await weightEnergies(engine, weight, reported, outputScale);
  const measure = async (from?: Factors) => {
    const errors = await measureErrors(engine, weight, factors, reported, energies, outputScale, from);
    return { relativeError: errors.relative, weightedError: errors.weighted };
  };
  const errors = await measure();
  const quantization = integers && { factors: integers, ...(await measure(fitted)) };
  await checkpoint(job, 1);
  return { factors, ...errors, ...(quantization && { quantization }) };
}

function diagonal(matrix: Float32Array): Float32Array {
  const size = Math.sqrt(matrix.length);
  return Float32Array.from({ length: size }, (_, i) => matrix[i * size + i]);
}

function fit(job: Job): Promise<Factors> {
  switch (job.spec.structure) {
    case 'low-rank':
      return fitLowRank(job);
    case 'monarch':
      return fitMonarch(job);
    case 'blast':
      return fitBlast(job);
  }
}

async function fitLowRank({ engine, weight, spec, metric, outputScale }: Job): Promise<Factors> {
  const source = submatrix(weight.data, weight.in, [0, weight.out], [0, weight.in], outputScale);
  const { left, right } = await nearestLowRank(engine, source, metric, spec.rank);
  const U = Float32Array.from(left);
  unscaleRows(U, outputScale);
  return { ...spec, in: weight.in, out: weight.out, V: Float32Array.from(right), U };
}

/** ALS from the low-rank factors of the same rank; those themselves (S = 1) should rounding leave it behind them. */
async function fitBlast(job: Job): Promise<Factors> {
  if (job.method === 'precgd') return fitBlastPrecgd(job);
  const { engine, weight, spec, metric, outputScale } = job;
  const start: Factors = job.initial ?? { ...(await fitLowRank(job)), ...spec, S: ones(spec) };
  const fitted = await fitBlastAls(job, start);
  // Relative to what does not matter here.
  const measure = (factors: Factors) =>
    measureErrors(engine, weight, factors, metric, { plain: 1, weighted: 1 }, outputScale);
  const [before, after] = [await measure(start), await measure(fitted)];
  return after.weighted <= before.weighted ? fitted : start;
}

const ones = ({ rank, blocksIn, blocksOut }: StructureSpec) =>
  new Float32Array(blocksIn * blocksOut * rank).fill(1);
