import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { Agreement } from '../../src/report/agreement.js';

const floats = (dims: number[], values: number[]) =>
  new ort.Tensor('float32', Float32Array.from(values), dims);
const ids = (dims: number[], values: number[]) =>
  new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);

describe('Agreement', () => {
  it('sums rows over data sets', () => {
    const agreement = new Agreement();
    agreement.add({}, { y: floats([1, 2], [3, 4]) }, { y: floats([1, 2], [4, 3]) });
    agreement.add({}, { y: floats([2, 2], [1, 0, 0, 2]) }, { y: floats([2, 2], [2, 0, 0, 2]) });
    const [y] = agreement.outputs();
    expect(y).to.include({ output: 'y', rows: 3, perplexity: null });
    expect(y.cosine).to.be.closeTo((24 / 25 + 1 + 1) / 3, 1e-12);
    expect(y.relativeError).to.be.closeTo(Math.sqrt((1 + 1 + 1) / (25 + 1 + 4)), 1e-12);
    expect(y.sameTop1).to.be.closeTo(2 / 3, 1e-12);
  });

  it('passes over what cannot be compared', () => {
    const agreement = new Agreement();
    agreement.add(
      {},
      { a: ids([1], [1]), b: floats([1, 2], [1, 2]) },
      { a: ids([1], [2]), b: floats([2], [1, 2]) },
    );
    expect(agreement.outputs()).to.deep.equal([]);
  });

  it('leaves padding out where attention_mask fits', () => {
    const agreement = new Agreement();
    const inputs = { attention_mask: ids([1, 2], [1, 0]) };
    agreement.add(inputs, { y: floats([1, 2, 2], [1, 2, 3, 4]) }, { y: floats([1, 2, 2], [1, 2, -9, 9]) });
    expect(agreement.outputs()[0]).to.include({ rows: 1, relativeError: 0 });
    const other = new Agreement();
    other.add(inputs, { y: floats([2, 2], [1, 2, 3, 4]) }, { y: floats([2, 2], [1, 2, -9, 9]) });
    expect(other.outputs()[0].rows).to.equal(2);
  });

  it('gives the perplexity of logits on the tokens that were fed', () => {
    const vocabulary = 300;
    const tokens = [7, 299, 0, 12];
    const logits = Array.from({ length: 4 * vocabulary }, (_, i) => Math.sin(i * 0.37) * 3);
    let sum = 0;
    for (let t = 0; t < 3; t++) {
      const row = logits.slice(t * vocabulary, (t + 1) * vocabulary).map((value) => Math.fround(value));
      sum += Math.log(row.reduce((all, value) => all + Math.exp(value), 0)) - row[tokens[t + 1]];
    }
    const y = floats([1, 4, vocabulary], logits);
    const agreement = new Agreement();
    agreement.add({ input_ids: ids([1, 4], tokens) }, { y }, { y });
    expect(agreement.outputs()[0].perplexity).to.be.closeTo(Math.exp(sum / 3), 1e-9);
  });

  it('gives none where the integers are no tokens of that vocabulary', () => {
    const y = floats([1, 2, 300], Array<number>(600).fill(1));
    for (const inputs of [{}, { input_ids: ids([1, 2], [3, 300]) }, { input_ids: ids([2], [3, 4]) }]) {
      const agreement = new Agreement();
      agreement.add(inputs, { y }, { y });
      expect(agreement.outputs()[0].perplexity).to.equal(null);
    }
  });
});
