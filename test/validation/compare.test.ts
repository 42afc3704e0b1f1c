import { expect } from 'chai';
import { numberToHalf } from '../../src/inputs/half.js';
import { seededRandom } from '../../src/inputs/random.js';
import { compareTensors, type ComparableTensor } from '../../src/validation/compare.js';

const float = (values: number[], dims = [values.length]): ComparableTensor => ({
  type: 'float32',
  dims,
  data: Float32Array.from(values),
});
const TIGHT = { atol: 1e-6, rtol: 1e-5 };
const ANYTHING = { atol: Infinity, rtol: 0 };

describe('compareTensors on outputs that agree', () => {
  it('passes identical floats, with no error and infinite signal-to-noise', () => {
    const result = compareTensors(float([1, -2, 0]), float([1, -2, 0]), { atol: 0, rtol: 0 });
    expect(result.passed).to.equal(true);
    expect(result.failure).to.equal(null);
    expect(result.elements).to.equal(3);
    expect(result.statistics!.absolute).to.deep.equal({ max: 0, mean: 0, p99: 0 });
    expect(result.statistics!.cosine).to.be.closeTo(1, 1e-15);
    expect(result.statistics!.signalToNoise).to.equal(Infinity);
  });

  it('passes an error of exactly atol + rtol · |reference| and fails one above', () => {
    const tolerance = { atol: 0.5, rtol: 0.25 };
    expect(compareTensors(float([4]), float([5.5]), tolerance).passed).to.equal(true);
    expect(compareTensors(float([4]), float([5.5000005]), tolerance).passed).to.equal(false);
  });

  it('holds the tolerance to the reference, not to the candidate', () => {
    const tolerance = { atol: 0, rtol: 0.5 };
    expect(compareTensors(float([1]), float([2]), tolerance).passed).to.equal(false);
    expect(compareTensors(float([2]), float([1]), tolerance).passed).to.equal(true);
  });

  it('widens float16 before it subtracts', () => {
    const half = (values: number[]): ComparableTensor => ({
      type: 'float16',
      dims: [values.length],
      data: Uint16Array.from(values, numberToHalf),
    });
    // 2048 and 2050 are neighbours in float16; their bits differ by 1.
    const result = compareTensors(half([2048, 1]), half([2050, 1]), { atol: 1, rtol: 0 });
    expect(result.passed).to.equal(false);
    expect(result.statistics!.absolute.max).to.equal(2);
  });

  it('passes empty outputs of one shape and says that it compared none', () => {
    const result = compareTensors(float([], [0, 4]), float([], [0, 4]), TIGHT);
    expect(result.passed).to.equal(true);
    expect(result.elements).to.equal(0);
  });
});

describe('compareTensors on outputs that do not agree', () => {
  it('fails one bad element in a million and says where it is', () => {
    const random = seededRandom(1);
    const values = Float32Array.from({ length: 1_000_000 }, () => random());
    const changed = values.slice();
    changed[765_432] += 0.01;
    const dims = [1000, 1000];
    const reference: ComparableTensor = { type: 'float32', dims, data: values };
    const result = compareTensors(reference, { type: 'float32', dims, data: changed }, TIGHT);
    expect(result.passed).to.equal(false);
    expect(result.mismatched).to.equal(1);
    expect(result.worst!.index).to.deep.equal([765, 432]);
    expect(result.failure).to.equal('1 of 1000000 elements differ by more than the tolerance');
    expect(result.statistics!.absolute.p99).to.equal(0);
  });

  it('fails swapped elements', () => {
    const result = compareTensors(float([1, 2, 3]), float([1, 3, 2]), TIGHT);
    expect(result.passed).to.equal(false);
    expect(result.mismatched).to.equal(2);
  });

  const notFinite: [string, number, number][] = [
    ['NaN in the candidate', 1, NaN],
    ['NaN in the reference', NaN, 1],
    ['NaN in both', NaN, NaN],
    ['an infinite candidate', 1, Infinity],
    ['infinity in both', Infinity, Infinity],
    ['infinities of opposite sign', Infinity, -Infinity],
  ];
  for (const [title, reference, candidate] of notFinite) {
    it(`fails ${title}, whatever the tolerance, and says so`, () => {
      const result = compareTensors(float([0, reference]), float([0, candidate]), ANYTHING);
      expect(result.passed).to.equal(false);
      expect(result.failure).to.contain('NaN or infinite');
      expect(result.nonFinite).to.deep.equal({
        reference: Number.isFinite(reference) ? 0 : 1,
        candidate: Number.isFinite(candidate) ? 0 : 1,
      });
    });
  }

  it('does not let NaN hide from the statistics of the rest', () => {
    const { statistics } = compareTensors(float([NaN, 2, 4]), float([1, 3, 4]), TIGHT);
    expect(statistics!.absolute.max).to.equal(1);
    expect(statistics!.absolute.mean).to.equal(0.5);
  });

  it('fails another shape with as many elements', () => {
    const result = compareTensors(float([1, 2, 3, 4], [2, 2]), float([1, 2, 3, 4], [4]), ANYTHING);
    expect(result.passed).to.equal(false);
    expect(result.failure).to.equal('shape is [4], expected [2, 2]');
    expect(result.elements).to.equal(0);
    expect(result.statistics).to.equal(null);
  });

  it('fails another type with the same values', () => {
    const double: ComparableTensor = { type: 'float64', dims: [1], data: Float64Array.of(1) };
    expect(compareTensors(float([1]), double, ANYTHING).failure).to.equal(
      'type is float64, expected float32',
    );
  });

  it('compares integers exactly, beyond 2^53 too, whatever the tolerance', () => {
    const big = (value: bigint): ComparableTensor => ({
      type: 'int64',
      dims: [1],
      data: BigInt64Array.of(value),
    });
    expect(compareTensors(big(2n ** 60n), big(2n ** 60n), ANYTHING).passed).to.equal(true);
    const result = compareTensors(big(2n ** 60n), big(2n ** 60n + 1n), ANYTHING);
    expect(result.passed).to.equal(false);
    expect(result.tolerance).to.deep.equal({ atol: 0, rtol: 0 });
  });

  it('compares bools and strings exactly', () => {
    const bool = (...data: number[]): ComparableTensor => ({
      type: 'bool',
      dims: [2],
      data: Uint8Array.from(data),
    });
    const text = (...data: string[]): ComparableTensor => ({ type: 'string', dims: [2], data });
    expect(compareTensors(bool(1, 0), bool(1, 1), ANYTHING).mismatched).to.equal(1);
    expect(compareTensors(text('a', 'b'), text('a', 'c'), ANYTHING).worst).to.deep.equal({
      index: [1],
      reference: 'b',
      candidate: 'c',
    });
  });
});

describe('compareTensors on the tolerance that would have passed', () => {
  const reference = float([1, -2, 0.5, 0]);
  const candidate = float([1.1, -2.3, 0.5, 0.001]);

  it('passes with the required atol and fails just below', () => {
    const { atol } = compareTensors(reference, candidate, { atol: 0, rtol: 0.01 }).required;
    expect(compareTensors(reference, candidate, { atol: atol * 1.000001, rtol: 0.01 }).passed).to.equal(true);
    expect(compareTensors(reference, candidate, { atol: atol * 0.999, rtol: 0.01 }).passed).to.equal(false);
  });

  it('passes with the required rtol and fails just below', () => {
    const { rtol } = compareTensors(reference, candidate, { atol: 0.01, rtol: 0 }).required;
    expect(compareTensors(reference, candidate, { atol: 0.01, rtol: rtol * 1.000001 }).passed).to.equal(true);
    expect(compareTensors(reference, candidate, { atol: 0.01, rtol: rtol * 0.999 }).passed).to.equal(false);
  });

  it('is infinite where a zero would have to be matched by rtol alone', () => {
    expect(compareTensors(reference, candidate, { atol: 0, rtol: 0 }).required.rtol).to.equal(Infinity);
  });
});
