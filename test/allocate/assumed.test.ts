import { expect } from 'chai';
import { withAssumed } from '../../graph-rewriter/allocate/index.js';

const blocks = { structure: 'low-rank', blocksIn: 1, blocksOut: 1 } as const;
const layer = (isMeasured: boolean, ...tails: number[]) => ({
  isMeasured,
  curves: [{ blocks, tails: Float64Array.from(tails) }],
});
const tailsOf = (layers: readonly ReturnType<typeof layer>[]) =>
  layers.map(({ curves }) => [...curves[0].tails]);

describe('withAssumed', () => {
  it('lets a layer without a gradient cost what the median of the others costs, and leaves those alone', () => {
    const layers = [layer(true, 6, 1), layer(false, 100, 50, 0), layer(true, 2, 0), layer(true, 30, 3)];
    expect(tailsOf(withAssumed(layers))).to.deep.equal([
      [6, 1],
      [6, 3, 0],
      [2, 0],
      [30, 3],
    ]);
    const even = withAssumed([layer(true, 6), layer(true, 2), layer(false, 8)]);
    expect(tailsOf(even)[2]).to.deep.equal([4]);
  });

  it('compares relative errors where no layer has a gradient', () => {
    expect(tailsOf(withAssumed([layer(false, 10, 5), layer(false, 0.25, 0)]))).to.deep.equal([
      [1, 0.5],
      [1, 0],
    ]);
  });

  it('scales all curves of a layer alike, those that share their tails too, and none of a layer of zeros', () => {
    const [low] = layer(false, 4, 2).curves;
    const blast = { ...low, blocks: { structure: 'blast', blocksIn: 2, blocksOut: 2 } as const };
    const monarch = { blocks, tails: Float64Array.of(3, 1) };
    const [scaled, zeros] = withAssumed([
      { isMeasured: false, curves: [low, blast, monarch] },
      layer(false, 0, 0),
    ]);
    expect(scaled.curves.map(({ tails }) => [...tails])).to.deep.equal([
      [1, 0.5],
      [1, 0.5],
      [0.75, 0.25],
    ]);
    expect(scaled.curves[1].blocks).to.equal(blast.blocks);
    expect([...zeros.curves[0].tails]).to.deep.equal([0, 0]);
  });
});
