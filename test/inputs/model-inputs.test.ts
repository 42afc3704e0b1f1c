import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { readGraphInputs, readModelInputs } from '../../src/inputs/model-inputs.js';
import { FLOAT16, INT64, encodeModel, scratch, type Scratch } from '../validation/helpers/tiny-model.js';

describe('readModelInputs', () => {
  let files: Scratch;
  let path: string;

  before(async () => {
    files = await scratch();
    const model = encodeModel({
      inputs: [
        { name: 'x', shape: ['batch', 3] },
        { name: 'half', type: FLOAT16, shape: [2] },
        { name: 'ids', type: INT64, shape: [1, 'seq'] },
        { name: 'W', shape: [1] },
      ],
      outputs: [
        { name: 'a', shape: ['batch', 3] },
        { name: 'b', type: FLOAT16, shape: [2] },
        { name: 'c', type: INT64, shape: [1, 'seq'] },
      ],
      nodes: [
        { op: 'Mul', inputs: ['x', 'W'], outputs: ['a'] },
        { op: 'Identity', inputs: ['half'], outputs: ['b'] },
        { op: 'Identity', inputs: ['ids'], outputs: ['c'] },
      ],
      weights: [{ name: 'W', dims: [1], data: [2] }],
    });
    path = await files.write('model.onnx', model);
  });
  after(() => files.remove());

  const expected = [
    { name: 'x', type: 'float32', shape: ['batch', 3] },
    { name: 'half', type: 'float16', shape: [2] },
    { name: 'ids', type: 'int64', shape: [1, 'seq'] },
  ];

  it('takes names, types and shapes from the session', async () => {
    const session = await ort.InferenceSession.create(path);
    expect(readModelInputs(session, path)).to.deep.equal(expected);
  });

  it('reads the same from the file for an onnxruntime-node that does not tell', () => {
    const session = { inputNames: ['x', 'half', 'ids'] } as unknown as ort.InferenceSession;
    expect(readModelInputs(session, path)).to.deep.equal(expected);
  });

  it('names an input that cannot be fed', async () => {
    const bfloat16 = encodeModel({
      inputs: [{ name: 'x', type: 16, shape: [1] }],
      outputs: [{ name: 'y', type: 16, shape: [1] }],
      nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
    });
    const file = await files.write('bf16.onnx', bfloat16);
    expect(() => readGraphInputs(file))
      .to.throw(BlockrankError, "input 'x' cannot be fed: expected a tensor of numbers, found data type 16")
      .with.property('code', 'UNSUPPORTED_MODEL');
  });
});
