import { expect } from 'chai';
import { Tensor } from 'onnxruntime-node';
import { ProductSums, rowsOf } from '../../graph-rewriter/sequential/product-sums.js';
import { seededRandom } from '../../src/inputs/random.js';
import { loadAddon } from '../../src/loader/addon.js';
import { nativeEngine } from '../../src/native-engine.js';

const [ROWS, N, M] = [133, 61, 29];
const random = seededRandom(4);
const rows = (size: number) =>
  rowsOf(
    new Tensor(
      'float32',
      Float32Array.from({ length: ROWS * size }, () => random() - 0.5),
      [1, ROWS, size],
    ),
  );

const ways = [
  ['sessions', () => new ProductSums({ logSeverityLevel: 3 })],
  [
    'the engine',
    () => {
      const engine = nativeEngine(loadAddon().linearAlgebra);
      return new ProductSums({}, engine.gram?.bind(engine));
    },
  ],
] as const;

for (const [name, make] of ways)
  describe(`sums of products by ${name}`, () => {
    const [a, minus, b] = [rows(N), rows(N), rows(M)];
    const all = new Uint8Array(ROWS).fill(1);
    const some = all.map((_, row) => (row % 3 === 1 ? 0 : 1));
    // What a mask leaves out may be anything.
    const at = (tensor: typeof a, row: number, i: number) =>
      (tensor.tensor.data as Float32Array)[row * tensor.size + i];
    for (let row = 0; row < ROWS; row++)
      if (!some[row]) (b.tensor.data as Float32Array)[row * M] = row % 2 ? NaN : 0;

    for (const [what, left, right, mask, taken] of [
      ['of two tensors under a mask', a, b, some, undefined],
      ['of a tensor and itself', a, a, all, undefined],
      ['of a tensor and itself under a mask', b, b, some, undefined],
      ['of a difference', a, minus, all, minus],
    ] as const)
      it(`${what} equal plain loops`, async () => {
        const sums = make();
        const { product, sum } = await sums.of(left, right, mask, taken);
        await sums.close();
        const value = (row: number, i: number) => at(left, row, i) - (taken ? at(taken, row, i) : 0);
        for (let i = 0; i < left.size; i++) {
          let total = 0;
          for (let row = 0; row < ROWS; row++) total += mask[row] ? value(row, i) : 0;
          expect(Math.abs(sum[i] - total)).to.be.below(1e-5);
          for (let j = 0; j < right.size; j++) {
            let expected = 0;
            for (let row = 0; row < ROWS; row++) if (mask[row]) expected += value(row, i) * at(right, row, j);
            expect(Math.abs(product[i * right.size + j] - expected)).to.be.below(1e-5);
          }
        }
      });
  });
