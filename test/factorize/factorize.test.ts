import { expect } from 'chai';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { factorize } from '../../graph-rewriter/factorize/index.js';
import { largestRank } from '../../graph-rewriter/factorize/size.js';
import type { FactorizeRequest, StructureSpec } from '../../graph-rewriter/factorize/types.js';
import {
  errorMatrix,
  energy,
  randomCovariance,
  randomScale,
  randomWeight,
  weightedError,
} from './reference.js';

type Shape = [out: number, width: number, blocksOut: number, blocksIn: number, rank: number];

const SHAPES: Shape[] = [
  [3, 2, 1, 1, 1],
  [16, 24, 2, 3, 2],
  [24, 16, 3, 2, 2],
  [17, 31, 3, 4, 2],
  [31, 17, 5, 2, 1],
  [64, 7, 8, 1, 3],
  [7, 64, 1, 8, 3],
  [40, 40, 1, 1, 19],
  [53, 47, 4, 4, 5],
];

function spec(
  structure: StructureSpec['structure'],
  [out, width, blocksOut, blocksIn, rank]: Shape,
): StructureSpec {
  const blocks = structure === 'low-rank' ? { blocksIn: 1, blocksOut: 1 } : { blocksIn, blocksOut };
  const most = largestRank({ in: width, out }, { structure, ...blocks });
  return { structure, ...blocks, rank: Math.min(rank, most) };
}

async function failure(request: FactorizeRequest): Promise<BlockrankError> {
  try {
    await factorize(request);
  } catch (error) {
    if (error instanceof BlockrankError) return error;
    throw error;
  }
  throw new Error('expected a BlockrankError');
}

describe('factorize', () => {
  for (const structure of ['low-rank', 'monarch', 'blast'] as const) {
    for (const shape of SHAPES) {
      const [out, width] = shape;
      const chosen = spec(structure, shape);
      if (chosen.rank === 0) continue;
      const title = `${structure} of ${out}×${width} in ${chosen.blocksOut}×${chosen.blocksIn} blocks, rank ${chosen.rank}`;

      it(`reports the errors of the factors it returns: ${title}`, async () => {
        const weight = randomWeight(out, width);
        const covariance = randomCovariance(width);
        const outputScale = randomScale(out);
        const plain = await factorize({ weight, spec: chosen, iterations: 4 });
        expect(plain.relativeError).to.be.closeTo(weightedError(weight, plain.factors), 1e-9);
        expect(plain.weightedError).to.equal(plain.relativeError);
        const whitened = await factorize({ weight, spec: chosen, iterations: 4, covariance, outputScale });
        expect(whitened.relativeError).to.be.closeTo(weightedError(weight, whitened.factors), 1e-9);
        const expected = weightedError(weight, whitened.factors, covariance, outputScale);
        expect(whitened.weightedError).to.be.closeTo(expected, 1e-9);
        const metric = weightedError(weight, plain.factors, covariance, outputScale);
        expect(whitened.weightedError).to.be.at.most(metric * (1 + 1e-6));
      });
    }
  }

  it('lays factors out as docs/operators.md says', async () => {
    const weight = randomWeight(17, 31);
    const lengths = async (chosen: StructureSpec) => {
      const { factors } = await factorize({ weight, spec: chosen, iterations: 1 });
      return [factors.V.length, factors.S?.length, factors.U.length];
    };
    expect(await lengths({ structure: 'low-rank', rank: 3, blocksIn: 1, blocksOut: 1 })).to.eql([
      93,
      undefined,
      51,
    ]);
    expect(await lengths({ structure: 'blast', rank: 3, blocksIn: 4, blocksOut: 3 })).to.eql([93, 36, 51]);
    const monarch = await lengths({ structure: 'monarch', rank: 2, blocksIn: 4, blocksOut: 3 });
    expect(monarch).to.eql([3 * 2 * 31, undefined, 17 * 4 * 2]);
  });

  it('gives the same bytes for the same seed', async () => {
    const weight = randomWeight(40, 24);
    const chosen: StructureSpec = { structure: 'blast', rank: 5, blocksIn: 2, blocksOut: 4 };
    for (const method of ['als', 'precgd'] as const) {
      const run = async (seed: number) =>
        (await factorize({ weight, spec: chosen, method, iterations: 5, seed })).factors;
      const first = await run(7);
      expect(await run(7)).to.eql(first);
      if (method === 'precgd') expect(await run(8)).not.to.eql(first);
    }
  });

  it('takes a weight of zeros', async () => {
    const weight = { out: 12, in: 9, data: new Float32Array(12 * 9) };
    for (const structure of ['low-rank', 'monarch', 'blast'] as const) {
      const result = await factorize({ weight, spec: spec(structure, [12, 9, 2, 3, 2]) });
      expect(result.relativeError).to.equal(0);
      expect([...result.factors.U, ...result.factors.V].every(Number.isFinite)).to.equal(true);
    }
  });

  it('takes a rank-deficient covariance', async () => {
    const weight = randomWeight(20, 30);
    const covariance = randomCovariance(30, { samples: 5 });
    for (const structure of ['low-rank', 'monarch', 'blast'] as const) {
      const { factors, weightedError: reported } = await factorize({
        weight,
        covariance,
        spec: spec(structure, [20, 30, 2, 3, 3]),
      });
      expect(reported).to.be.closeTo(weightedError(weight, factors, covariance), 1e-6);
      expect(Math.sqrt(energy(errorMatrix(weight, factors), 20, 30))).to.be.below(100);
    }
  });

  for (const structure of ['blast', 'monarch'] as const) {
    it(`reports rising progress and ends at 1: ${structure}`, async () => {
      const seen: number[] = [];
      await factorize({
        weight: randomWeight(16, 16),
        covariance: randomCovariance(16),
        spec: { structure, rank: 2, blocksIn: 2, blocksOut: 2 },
        iterations: 3,
        onProgress: (fraction) => seen.push(fraction),
      });
      expect(seen.length).to.be.at.least(4);
      expect(seen.at(-1)).to.equal(1);
      expect(seen).to.eql([...seen].sort((a, b) => a - b));
    });
  }

  it('stops when it is aborted', async () => {
    const controller = new AbortController();
    const error = await failure({
      weight: randomWeight(16, 16),
      spec: { structure: 'blast', rank: 3, blocksIn: 2, blocksOut: 2 },
      signal: controller.signal,
      onProgress: (fraction) => {
        if (fraction > 0.2) controller.abort();
      },
    });
    expect(error.code).to.equal('ABORTED');
  });

  describe('refuses', () => {
    const weight = randomWeight(12, 10);
    const lowRank: StructureSpec = { structure: 'low-rank', rank: 2, blocksIn: 1, blocksOut: 1 };
    const covariance = randomCovariance(10);
    const changed = (at: number, value: number, source = covariance) => {
      const copy = source.slice();
      copy[at] = value;
      return copy;
    };
    const cases: [string, FactorizeRequest, BlockrankError['code'], RegExp][] = [
      [
        'a rank that would not shrink it',
        { weight, spec: { ...lowRank, rank: 6 } },
        'FACTORIZATION',
        /use at most 5/,
      ],
      [
        'a weight that no rank shrinks',
        { weight: randomWeight(1, 9), spec: { ...lowRank, rank: 1 } },
        'FACTORIZATION',
        /no rank would/,
      ],
      [
        'blocks without features',
        { weight, spec: { structure: 'blast', rank: 1, blocksIn: 7, blocksOut: 2 } },
        'FACTORIZATION',
        /2×7 blocks leave one without features in a 12×10 weight/,
      ],
      ['low rank in blocks', { weight, spec: { ...lowRank, blocksIn: 2 } }, 'INVALID_ARGUMENT', /one block/],
      ['rank 0', { weight, spec: { ...lowRank, rank: 0 } }, 'INVALID_ARGUMENT', /rank is 0/],
      [
        'NaN in the weight',
        { weight: { ...weight, data: changed(23, NaN, weight.data) }, spec: lowRank },
        'FACTORIZATION',
        /NaN at row 2, column 3/,
      ],
      [
        'a weight of the wrong length',
        { weight: { ...weight, out: 13 }, spec: lowRank },
        'INVALID_ARGUMENT',
        /13×10 = 130/,
      ],
      [
        'a covariance of the wrong size',
        { weight, spec: lowRank, covariance: randomCovariance(12) },
        'INVALID_ARGUMENT',
        /144 values; expected in × in = 10×10/,
      ],
      [
        'an asymmetric covariance',
        { weight, spec: lowRank, covariance: changed(3, 9) },
        'INVALID_ARGUMENT',
        /not symmetric: \(3, 0\)/,
      ],
      [
        'NaN in the covariance',
        { weight, spec: lowRank, covariance: changed(0, NaN) },
        'INVALID_ARGUMENT',
        /NaN/,
      ],
      [
        'an indefinite covariance',
        { weight, spec: lowRank, covariance: changed(0, -1) },
        'INVALID_ARGUMENT',
        /eigenvalue below/,
      ],
      [
        'a covariance of zeros',
        { weight, spec: lowRank, covariance: new Float32Array(100) },
        'INVALID_ARGUMENT',
        /trace 0/,
      ],
      [
        'an output scale of the wrong length',
        { weight, spec: lowRank, outputScale: randomScale(10) },
        'INVALID_ARGUMENT',
        /10 values; expected out = 12/,
      ],
      [
        'an output scale that is not positive',
        { weight, spec: lowRank, outputScale: new Float32Array(12) },
        'INVALID_ARGUMENT',
        /outputScale\[0\] is 0/,
      ],
      [
        'negative iterations',
        { weight, spec: lowRank, iterations: -1 },
        'INVALID_ARGUMENT',
        /iterations is -1/,
      ],
    ];
    for (const [title, request, code, text] of cases) {
      it(title, async () => {
        const error = await failure(request);
        expect(error.message).to.match(text);
        expect(error.code).to.equal(code);
      });
    }
  });
});
