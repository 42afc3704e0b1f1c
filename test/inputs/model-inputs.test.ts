import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { readInputsFromFile, readModelInputs } from '../../src/inputs/model-inputs.js';
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
      ],
      outputs: [
        { name: 'a', shape: ['batch', 3] },
        { name: 'b', type: FLOAT16, shape: [2] },
        { name: 'c', type: INT64, shape: [1, 'seq'] },
      ],
      nodes: [
        { op: 'Identity', inputs: ['x'], outputs: ['a'] },
        { op: 'Identity', inputs: ['half'], outputs: ['b'] },
        { op: 'Identity', inputs: ['ids'], outputs: ['c'] },
      ],
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
    expect(await readModelInputs(session, path)).to.deep.equal(expected);
  });

  it('reads the same from the file for an onnxruntime-node that does not tell', async () => {
    const session = { inputNames: ['x', 'half', 'ids'] } as unknown as ort.InferenceSession;
    expect(await readModelInputs(session, path)).to.deep.equal(expected);
  });

  it('names an input that is not in the file', async () => {
    const error = await readInputsFromFile(path, ['nothing']).catch((reason: unknown) => reason);
    expect(error).to.have.property('code', 'UNSUPPORTED_MODEL');
    expect(error).to.have.property('message').that.contains("input 'nothing' cannot be fed");
  });
});
