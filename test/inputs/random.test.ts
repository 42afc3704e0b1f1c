import { expect } from 'chai';
import type { NumericType } from '../../src/inputs/element-types.js';
import { halfToNumber } from '../../src/inputs/half.js';
import { randomInput, seededRandom } from '../../src/inputs/random.js';

const draw = (name: string, type: NumericType, dims: number[], seed = 0) =>
  randomInput({ name, type, shape: dims }, dims, seededRandom(seed));
const values = (data: Iterable<number | bigint>) => Array.from(data, Number);

describe('randomInput', () => {
  it('repeats for one seed and differs for another', () => {
    expect(draw('x', 'float32', [64])).to.deep.equal(draw('x', 'float32', [64]));
    expect(draw('x', 'float32', [64])).to.not.deep.equal(draw('x', 'float32', [64], 1));
  });

  it('spreads floats over [-1, 1)', () => {
    const drawn = values(draw('x', 'float32', [10000]).data);
    expect(Math.min(...drawn)).to.be.within(-1, -0.99);
    expect(Math.max(...drawn)).to.be.within(0.99, 1);
    expect(drawn.reduce((sum, v) => sum + v) / drawn.length).to.be.closeTo(0, 0.03);
  });

  it('writes float16 as bits', () => {
    const drawn = values(draw('x', 'float16', [1000]).data).map(halfToNumber);
    expect(Math.min(...drawn)).to.be.within(-1, -0.9);
    expect(Math.max(...drawn)).to.be.within(0.9, 1);
  });

  for (const type of ['int64', 'int32', 'uint8'] as const) {
    it(`draws ${type} from 0 to 15`, () => {
      const drawn = values(draw('ids', type, [2000]).data);
      expect([...new Set(drawn)].sort((a, b) => a - b)).to.deep.equal(
        Array.from({ length: 16 }, (_, i) => i),
      );
    });
  }

  it('knows what masks, segments and positions are', () => {
    expect(values(draw('attention_mask', 'int64', [1, 3]).data)).to.deep.equal([1, 1, 1]);
    expect(values(draw('token_type_ids', 'int64', [1, 3]).data)).to.deep.equal([0, 0, 0]);
    expect(values(draw('position_ids', 'int64', [2, 3]).data)).to.deep.equal([0, 1, 2, 0, 1, 2]);
  });
});
