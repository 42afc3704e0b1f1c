// Sums up how far one model's outputs are from another's, a data set at a time.
import type * as ort from 'onnxruntime-node';
import { toNumbers } from '../validation/compare.js';
import { nextTokenLoss } from './perplexity.js';
import type { OutputAgreement } from './types.js';

type Tensors = Readonly<Record<string, ort.Tensor>>;

const FLOATS = ['float32', 'float16', 'float64'];

/** Memory: sums only. Outputs that are not floating point, or differ in shape, are passed over. */
export class Agreement {
  private readonly sums = new Map<string, Sums>();

  add(inputs: Tensors, reference: Tensors, candidate: Tensors): void {
    for (const [output, expected] of Object.entries(reference)) {
      const found = candidate[output] as ort.Tensor | undefined;
      if (!found || !FLOATS.includes(expected.type) || found.dims.join() !== expected.dims.join()) continue;
      const sums = this.sums.get(output) ?? new Sums();
      this.sums.set(output, sums);
      sums.add(inputs, expected, found);
    }
  }

  outputs(): OutputAgreement[] {
    return [...this.sums].map(([output, sums]) => ({ output, ...sums.result() }));
  }
}

class Sums {
  private rows = 0;
  private cosines = 0;
  private error = 0;
  private energy = 0;
  private same = 0;
  private width = 0;
  private readonly loss = { sum: 0, tokens: 0 };

  add(inputs: Tensors, expected: ort.Tensor, found: ort.Tensor): void {
    const width = expected.dims.at(-1) ?? 1;
    if (expected.size === 0) return;
    this.width = width;
    const [a, b] = [toNumbers(expected), toNumbers(found)];
    const counts = attended(inputs, expected.dims);
    for (let row = 0; row < expected.size / width; row++) if (counts(row)) this.addRow(a, b, row, width);
    const loss = nextTokenLoss(inputs, found.dims, b, counts);
    this.loss.sum += loss.sum;
    this.loss.tokens += loss.tokens;
  }

  private addRow(a: ArrayLike<number>, b: ArrayLike<number>, row: number, width: number): void {
    let [aa, bb, ab, error] = [0, 0, 0, 0];
    let [topA, topB] = [row * width, row * width];
    for (let i = row * width; i < (row + 1) * width; i++) {
      aa += a[i] * a[i];
      bb += b[i] * b[i];
      ab += a[i] * b[i];
      error += (a[i] - b[i]) ** 2;
      if (a[i] > a[topA]) topA = i;
      if (b[i] > b[topB]) topB = i;
    }
    const norms = Math.sqrt(aa) * Math.sqrt(bb);
    this.rows++;
    this.cosines += norms > 0 ? ab / norms : aa === bb ? 1 : 0;
    this.error += error;
    this.energy += aa;
    if (topA === topB) this.same++;
  }

  result(): Omit<OutputAgreement, 'output'> {
    const { rows, error, energy, loss } = this;
    return {
      rows,
      cosine: rows ? this.cosines / rows : 1,
      relativeError: error > 0 ? Math.sqrt(error / energy) : error,
      sameTop1: this.width > 1 && rows ? this.same / rows : null,
      perplexity: loss.tokens ? Math.exp(loss.sum / loss.tokens) : null,
    };
  }
}

/** Which rows count: where an input attention_mask [batch, tokens] fits an output [batch, tokens, …], those where it is not 0. */
function attended(inputs: Tensors, dims: readonly number[]): (row: number) => boolean {
  const mask = inputs.attention_mask as ort.Tensor | undefined;
  if (!mask || mask.dims.join() !== dims.slice(0, -1).join()) return () => true;
  const values = mask.data as ArrayLike<number | bigint | boolean>;
  return (row) => Boolean(values[row]);
}
