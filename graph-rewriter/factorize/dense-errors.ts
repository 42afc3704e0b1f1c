// The errors of a dense matrix that stands for a weight, in the measures of measure.ts.
import { stack, type Engine } from './engine.js';
import { energy } from './measure.js';
import { Metric } from './metric.js';
import { chunks, submatrix } from './rows.js';
import type { DenseWeight } from './types.js';

/**
 * ‖W − A‖_F / ‖W‖_F and, with C = E[x xᵀ] ([in, in]), sqrt(tr(E C Eᵀ) / tr(W C Wᵀ)); `approximation` is [out, in].
 * A weight of zeros that is met exactly has error 0.
 */
export async function denseErrors(
  engine: Engine,
  weight: DenseWeight,
  approximation: Float32Array,
  covariance?: Float32Array,
): Promise<{ weight: number; activation: number | null }> {
  const metric = covariance ? Metric.raw(weight.in, covariance) : undefined;
  const whole: readonly [number, number] = [0, weight.in];
  const found = submatrix(approximation, weight.in, [0, weight.out], whole);
  const sums = { error: 0, weight: 0, activationError: 0, activation: 0 };
  for (const { start, end, values } of chunks(submatrix(weight.data, weight.in, [0, weight.out], whole))) {
    const stored = found.read(start, end).data;
    const error = stack(
      values.data.map((value, i) => value - stored[i]),
      1,
      values.rows,
      values.cols,
    );
    sums.error += energy(error, error);
    sums.weight += energy(values, values);
    if (!metric) continue;
    sums.activationError += energy(error, await metric.apply(engine, error));
    sums.activation += energy(values, await metric.apply(engine, values));
  }
  const ratio = (part: number, all: number) => (part > 0 ? Math.sqrt(part / all) : 0);
  return {
    weight: ratio(sums.error, sums.weight),
    activation: metric ? ratio(sums.activationError, sums.activation) : null,
  };
}
