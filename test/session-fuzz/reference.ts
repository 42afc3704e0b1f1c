/** What a node that is right computes, in float64 in the three stages of docs/operators.md, and how far off it may be. */
import { ACTIVATIONS } from '../ops/helpers/reference.js';
import type { Case } from './cases.js';
import type { Sizes } from './judge.js';

export interface Expected {
  readonly y: Float64Array;
  /** Absolute; infinite where float32 cannot hold what lies between. */
  readonly tolerance: Float64Array;
}

/** A value in float64, the sum of its terms' magnitudes, and what int8 products may add to its error. */
interface Stage {
  readonly value: Float64Array;
  readonly size: Float64Array;
  readonly error: Float64Array;
}

const stage = (length: number): Stage => ({
  value: new Float64Array(length),
  size: new Float64Array(length),
  error: new Float64Array(length),
});

export function expectedOf({ inputs }: Case, sizes: Sizes): Expected {
  const { n, m, r, bIn, bOut, monarch, activation } = sizes;
  const names = inputNames(
    sizes,
    inputs.some(({ name }) => name === 'S'),
  );
  const data = (name: string) => inputs[names.indexOf(name)]?.tensor.data;
  const [x, v, u, b] = [
    data('X'),
    data('V'),
    data('U'),
    inputs[names.length]?.source === 'unnamed' ? undefined : inputs[names.length]?.tensor.data,
  ];
  const [s, vScale, uScale] = [data('S'), data('VScale'), data('UScale')];
  const tokens = x.length / n;
  const [p, q] = [Math.ceil(n / bIn), Math.ceil(m / bOut)];
  const unit =
    1.2 *
    ((p + bIn + r * (monarch ? bIn : 1) + 6) * 2 ** -24 + (sizes.compute === 'bfloat16' ? 4 * 2 ** -9 : 0));
  const half = inputs[0].tensor.type === 'float16';
  const y = new Float64Array(tokens * m);
  const tolerance = new Float64Array(tokens * m);

  for (let token = 0; token < tokens; token++) {
    const row = x.subarray(token * n, (token + 1) * n);
    for (let i = 0; i < bOut; i++) {
      const z = middle(row, i);
      for (let o = 0; o < m; o++) {
        if ((sizes.interleaved ? o % bOut : Math.floor(o / q)) !== i) continue;
        let [sum, size, error] = [b ? b[b.length === 1 ? 0 : o] : 0, 0, 0];
        size = Math.abs(sum);
        for (let k = 0; k < z.value.length; k++) {
          const at = o * z.value.length + k;
          const weight = u[at] * (uScale ? uScale[Math.floor(at / r)] : 1);
          sum += weight * z.value[k];
          size += Math.abs(weight) * z.size[k];
          error += Math.abs(weight) * z.error[k];
        }
        const at = token * m + o;
        y[at] = ACTIVATIONS[activation](sum);
        // Activations stretch by at most 1.13; their polynomials are good to 4e-7 of the argument.
        const stored = Math.abs(y[at]) * (half ? 2 ** -11 : 2 ** -24) + (half ? 2 ** -25 : 1e-37);
        tolerance[at] = unit * size + 1.2 * error + 4e-7 * Math.abs(sum) + stored + 1e-9;
        if (size > 1e36 && size < Infinity) tolerance[at] = Infinity;
      }
    }
  }
  return { y, tolerance };

  /** z of output block i: Σ_j S_ij ∘ t_j, or for Monarch every t_ij. */
  function middle(row: Float64Array, i: number): Stage {
    const z = stage(monarch ? bIn * r : r);
    for (let j = 0; j < bIn; j++) {
      const block = row.subarray(j * p, Math.min((j + 1) * p, n));
      const step = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 254;
      for (let k = 0; k < r; k++) {
        const line = (monarch ? i * r : 0) + k;
        const scale =
          (vScale ? vScale[(monarch ? i * bIn * r : 0) + j * r + k] : 1) * (s ? s[(i * bIn + j) * r + k] : 1);
        const at = monarch ? j * r + k : k;
        let [sum, size, error] = [0, 0, 0];
        block.forEach((value, c) => {
          const weight = v[line * n + j * p + c];
          sum += weight * value;
          size += Math.abs(weight * value);
          error += Math.abs(weight) * step;
        });
        z.value[at] += scale * sum;
        z.size[at] += Math.abs(scale) * size;
        z.error[at] += Math.abs(scale) * error;
      }
    }
    quantizeError(z);
    return z;
  }

  /** The second quantization, of z per token and output block; for Monarch of each t_ij. Without int8 products, none. */
  function quantizeError({ value, error }: Stage): void {
    if (sizes.compute !== 'int8') return void error.fill(0);
    for (let first = 0; first < value.length; first += r) {
      let most = 0;
      for (let k = first; k < first + r; k++) most = Math.max(most, Math.abs(value[k]) + error[k]);
      for (let k = first; k < first + r; k++) error[k] += most / 254;
    }
  }
}

const inputNames = ({ quantized }: Sizes, blast: boolean) => [
  'X', 'V', ...(quantized ? ['VScale'] : []), ...(blast ? ['S'] : []), 'U', ...(quantized ? ['UScale'] : []),
]; // prettier-ignore
