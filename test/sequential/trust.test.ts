import { expect } from 'chai';
import { createEngine, stack } from '../../graph-rewriter/factorize/engine.js';
import { targetMap, targetWeight } from '../../graph-rewriter/sequential/target.js';
import { trustIn, type Half } from '../../graph-rewriter/sequential/trust.js';
import { seededRandom } from '../../src/inputs/random.js';

const SIZE = 12;
const OUT = 40;
const ALPHA = 0.5;
const engine = createEngine();

/** Gaussian, by the central limit. */
function normal(random: () => number): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random();
  return sum;
}

/** h = (1 + lost) h′ + noise: `lost` can be made up for, noise cannot. */
async function half(
  rows: number,
  lost: number,
  noise: number,
  seed: number,
  weight: Float32Array,
): Promise<Half> {
  const random = seededRandom(seed);
  const compressed = new Float64Array(SIZE * SIZE);
  const cross = new Float64Array(SIZE * SIZE);
  for (let row = 0; row < rows; row++) {
    const left = Array.from({ length: SIZE }, () => normal(random));
    const h = left.map((value) => (1 + lost) * value + noise * normal(random));
    for (let i = 0; i < SIZE; i++)
      for (let j = 0; j < SIZE; j++) {
        compressed[i * SIZE + j] += (left[i] * left[j]) / rows;
        cross[i * SIZE + j] += (h[i] * left[j]) / rows;
      }
  }
  const map = (await targetMap(engine, { size: SIZE, compressed, cross }, { alpha: ALPHA, ridge: 1e-6 }))!;
  const target = await targetWeight(engine, weight, map, ALPHA);
  const change = Float64Array.from(target, (value, at) => value - weight[at]);
  return { size: SIZE, compressed, cross, change: stack(change, 1, OUT, SIZE) };
}

async function trust(rows: number, lost: number, noise: number): Promise<number> {
  const random = seededRandom(1);
  const weight = Float32Array.from({ length: OUT * SIZE }, () => random() - 0.5);
  const halves = [await half(rows, lost, noise, 2, weight), await half(rows, lost, noise, 3, weight)];
  return trustIn(engine, weight, halves, ALPHA);
}

describe('trustIn', () => {
  it('is 1 where both halves ask for the same', async () => {
    expect(await trust(60, 0.2, 0)).to.be.greaterThan(0.999);
  });

  it('falls to nothing where targets are noise', async () => {
    // Chance correlates the 144 numbers of two noises by some 0.08.
    expect(await trust(60, 0, 0.2)).to.be.lessThan(0.3);
  });

  it('grows with the rows, as the share of what both halves together get right', async () => {
    const [few, some, many] = [
      await trust(20, 0.1, 0.5),
      await trust(200, 0.1, 0.5),
      await trust(20000, 0.1, 0.5),
    ];
    expect(few).to.be.lessThan(some);
    expect(some).to.be.lessThan(many);
    expect(many).to.be.greaterThan(0.97);
    // What is lost, against the noise of a regression on SIZE numbers from twice 200 rows.
    const [signal, noise] = [0.1 ** 2, (SIZE * 0.5 ** 2) / 400];
    expect(some).to.be.closeTo(signal / (signal + noise), 0.15);
  });
});
