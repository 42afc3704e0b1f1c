import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { States } from '../../graph-rewriter/sequential/states.js';

const floats = (...values: number[]) => new ort.Tensor('float32', Float32Array.from(values), [values.length]);
const longs = (...values: bigint[]) =>
  new ort.Tensor('int64', BigInt64Array.from(values), [values.length, 1]);

describe('States', () => {
  for (const [limit, where] of [
    [1e6, 'memory'],
    [12, 'memory and files'],
    [0, 'files'],
  ] as const)
    it(`gives back what was put, from ${where}`, () => {
      const states = new States(limit);
      for (let batch = 0; batch < 3; batch++) {
        states.put('a', 'dense', batch, floats(batch, 0.5, 1 - batch));
        states.put('a', 'compressed', batch, floats(10 + batch));
        states.put('mask', 'dense', batch, longs(BigInt(batch), 7n));
      }
      for (let batch = 2; batch >= 0; batch--) {
        expect([...(states.get('a', 'dense', batch).data as Float32Array)]).to.eql([batch, 0.5, 1 - batch]);
        expect([...(states.get('a', 'compressed', batch).data as Float32Array)]).to.eql([10 + batch]);
        const mask = states.get('mask', 'compressed', batch);
        expect(mask.dims).to.eql([2, 1]);
        expect([...(mask.data as BigInt64Array)]).to.eql([BigInt(batch), 7n]);
      }
      expect([...states.types()]).to.eql([
        ['a', 'float32'],
        ['mask', 'int64'],
      ]);
      states.close();
    });

  it('frees the memory of what is dropped', () => {
    const states = new States(8);
    states.put('a', 'dense', 0, floats(1, 2));
    states.drop('a');
    const kept = floats(3, 4);
    states.put('b', 'dense', 0, kept);
    // The same object: it did not go to a file.
    expect(states.get('b', 'dense', 0)).to.equal(kept);
    states.dropBatch('b', 0);
    states.put('b', 'dense', 1, kept);
    expect(states.get('b', 'dense', 1)).to.equal(kept);
    states.close();
  });
});
