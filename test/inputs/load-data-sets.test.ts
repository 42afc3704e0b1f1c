import { expect } from 'chai';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { loadDataSets, type DataSet, type InputOptions, type ModelInput } from '../../src/inputs/index.js';
import { npz } from './helpers/npz.js';
import { FLOAT, INT64, encodeTensor, scratch, type Scratch } from '../validation/helpers/tiny-model.js';

const INPUTS: ModelInput[] = [
  { name: 'x', type: 'float32', shape: ['batch', 2] },
  { name: 'ids', type: 'int64', shape: ['batch'] },
];

const collect = async (options: InputOptions): Promise<DataSet[]> => {
  const sets: DataSet[] = [];
  for await (const set of loadDataSets(INPUTS, ['y'], options)) sets.push(set);
  return sets;
};

const failure = async (options: InputOptions): Promise<BlockrankError> => {
  try {
    await collect(options);
  } catch (error) {
    expect(error).to.be.instanceOf(BlockrankError);
    expect((error as BlockrankError).code).to.equal('INVALID_INPUTS');
    return error as BlockrankError;
  }
  throw new Error('expected an error');
};

const x = (name = 'x', values = [1, 2]) =>
  encodeTensor({ name, dims: [1, 2], dataType: FLOAT, floatData: values });
const ids = (name = 'ids') => encodeTensor({ name, dims: [1], dataType: INT64, int64Data: [5] });

describe('loadDataSets', () => {
  let files: Scratch;
  const folder = async (name: string, contents: Record<string, Uint8Array>) => {
    await mkdir(join(files.folder, name), { recursive: true });
    for (const [file, bytes] of Object.entries(contents))
      await writeFile(join(files.folder, name, file), bytes);
    return join(files.folder, name);
  };

  beforeEach(async () => (files = await scratch()));
  afterEach(() => files.remove());

  it('reads test_data_set_* folders in numeric order, with expected outputs', async () => {
    for (const number of [10, 2]) {
      await folder(`model/test_data_set_${number}`, {
        'input_0.pb': x('x', [number, 0]),
        'input_1.pb': ids(),
        'output_0.pb': encodeTensor({ name: 'y', dims: [1], dataType: FLOAT, floatData: [number] }),
      });
    }
    const sets = await collect({ paths: [join(files.folder, 'model')] });
    expect(sets.map((set) => set.name)).to.deep.equal(['test_data_set_2', 'test_data_set_10']);
    expect(Array.from(sets[0].inputs.x.data as Float32Array)).to.deep.equal([2, 0]);
    expect(sets[0].inputs.ids.data).to.deep.equal(BigInt64Array.of(5n));
    expect(Array.from(sets[1].expected.y.data as Float32Array)).to.deep.equal([10]);
  });

  it('goes by TensorProto names, whatever the files are numbered', async () => {
    const path = await folder('set', { 'input_0.pb': ids(), 'input_1.pb': x() });
    const [set] = await collect({ paths: [path] });
    expect(set.inputs.x.dims).to.deep.equal([1, 2]);
  });

  it('goes by position where tensors have no name', async () => {
    const path = await folder('set', { 'input_0.pb': x(''), 'input_1.pb': ids('') });
    const [set] = await collect({ paths: [path] });
    expect(Object.keys(set.inputs)).to.deep.equal(['x', 'ids']);
  });

  it('reads .npz files, and takes an array named like an output as expected', async () => {
    const archive = npz({
      x: { dims: [1, 2], data: Float32Array.of(3, 4) },
      ids: { dims: [1], data: BigInt64Array.of(9n) },
      y: { dims: [1], data: Float32Array.of(8) },
    });
    await folder('sets', { 'a.npz': archive });
    const [set] = await collect({ paths: [join(files.folder, 'sets')] });
    expect(set.name).to.equal('a');
    expect(Array.from(set.inputs.x.data as Float32Array)).to.deep.equal([3, 4]);
    expect(Array.from(set.expected.y.data as Float32Array)).to.deep.equal([8]);
  });

  it('draws random inputs where no path is given', async () => {
    const sets = await collect({ count: 2, seed: 3, shapes: { x: [4, 2] } });
    expect(sets.map((set) => set.name)).to.deep.equal(['random 0 (seed 3)', 'random 1 (seed 3)']);
    expect(sets[0].inputs.ids.dims).to.deep.equal([4]);
    expect(sets[0].inputs.x.data).to.not.deep.equal(sets[1].inputs.x.data);
  });

  it('names an input of the wrong type, with both types', async () => {
    const float64 = npz({
      x: { dims: [1, 2], data: Float64Array.of(3, 4) },
      ids: { dims: [1], data: BigInt64Array.of(9n) },
    });
    await folder('sets', { 'a.npz': float64 });
    const error = await failure({ paths: [join(files.folder, 'sets/a.npz')] });
    expect(error.message).to.contain("input 'x' must be float32 [batch, 2], and the file has float64 [1, 2]");
  });

  it('names an input of the wrong shape', async () => {
    const bad = encodeTensor({ name: 'x', dims: [2], dataType: FLOAT, floatData: [1, 2] });
    const path = await folder('set', { 'input_0.pb': bad, 'input_1.pb': ids() });
    const error = await failure({ paths: [path] });
    expect(error.message).to.contain("input 'x' must be float32 [batch, 2], and the file has float32 [2]");
  });

  it('names a missing input and one too many', async () => {
    const missing = await folder('missing', { 'input_0.pb': x() });
    expect((await failure({ paths: [missing] })).message).to.contain(
      "input 'ids' is missing (expected int64 [batch])",
    );
    const other = await folder('other', { 'input_0.pb': x('z') });
    expect((await failure({ paths: [other] })).message).to.contain(
      "an input is called 'z', and the model has 'x', 'ids'",
    );
  });

  it('refuses paths without data sets, and gaps in the numbers', async () => {
    expect((await failure({ paths: ['/no/such'] })).message).to.contain(
      '/no/such: there is no such file or folder',
    );
    const empty = await folder('empty', {});
    expect((await failure({ paths: [empty] })).message).to.contain('and found none');
    const text = await folder('text', { 'a.txt': Uint8Array.of(1) });
    expect((await failure({ paths: [join(text, 'a.txt')] })).message).to.contain(
      'expected an .npz file or a folder',
    );
    const gap = await folder('gap', { 'input_0.pb': x(), 'input_2.pb': ids() });
    expect((await failure({ paths: [gap] })).message).to.contain('expected input_1.pb before input_2.pb');
  });
});
