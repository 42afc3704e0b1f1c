import { expect } from 'chai';
import { join } from 'node:path';
import type * as ort from 'onnxruntime-node';
import type { ModelInput } from '../../src/inputs/index.js';
import { isTokenFile, readTokenRows, tokenFeeds, type TokenFile } from '../../src/inputs/tokens.js';
import { expectError } from '../graph-rewriter/helpers/errors.js';
import { scratch, type Scratch } from '../validation/helpers/tiny-model.js';

const IDS: ModelInput = { name: 'input_ids', type: 'int64', shape: ['batch', 'time'] };
const numbers = (tensor: ort.Tensor) => Array.from(tensor.data as BigInt64Array, Number);

describe('tokenFeeds', () => {
  let files: Scratch;
  let flat: string;
  let lengths: string;
  before(async () => {
    files = await scratch();
    flat = await files.write('t.i32', new Uint8Array(Int32Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9]).buffer));
    lengths = await files.write('l.i32', new Uint8Array(Int32Array.from([3, 1, 2]).buffer));
  });
  after(() => files.remove());

  async function all(inputs: ModelInput[], file: TokenFile) {
    const result: Record<string, ort.Tensor>[] = [];
    for await (const feeds of tokenFeeds(inputs, file)) result.push(feeds);
    return result;
  }

  it('cuts a flat file into rows, in batches', async () => {
    const feeds = await all([IDS], { path: flat, rowLength: 3, batch: 2 });
    expect(feeds.map(({ input_ids }) => [input_ids.dims, numbers(input_ids)])).to.eql([
      [
        [2, 3],
        [1, 2, 3, 4, 5, 6],
      ],
      [
        [1, 3],
        [7, 8, 9],
      ],
    ]);
  });

  it('runs rows of like length together and marks their padding', async () => {
    const mask: ModelInput = { ...IDS, name: 'attention_mask' };
    const positions: ModelInput = { ...IDS, name: 'position_ids' };
    const types: ModelInput = { ...IDS, name: 'token_type_ids' };
    const [feeds] = await all([IDS, mask, positions, types], { path: flat, rowLength: 3, lengths });
    expect(numbers(feeds.input_ids)).to.eql([4, 0, 0, 7, 8, 0, 1, 2, 3]);
    expect(numbers(feeds.attention_mask)).to.eql([1, 0, 0, 1, 1, 0, 1, 1, 1]);
    expect(numbers(feeds.position_ids)).to.eql([0, 1, 2, 0, 1, 2, 0, 1, 2]);
    expect(numbers(feeds.token_type_ids)).to.eql(new Array(9).fill(0));
  });

  it('gives empty caches of keys and values, and a flag that says so', async () => {
    const past: ModelInput = {
      name: 'past_key_values.0.key',
      type: 'float32',
      shape: ['batch', 3, 'past', 64],
    };
    const flag: ModelInput = { name: 'use_cache_branch', type: 'bool', shape: [1] };
    const [feeds] = await all([IDS, past, flag], { path: flat, rowLength: 3 });
    expect(feeds[past.name].dims).to.eql([3, 3, 0, 64]);
    expect([...(feeds[flag.name].data as Uint8Array)]).to.eql([0]);
  });

  it('takes the one integer matrix where no input is called input_ids', async () => {
    const [feeds] = await all([{ ...IDS, name: 'tokens', type: 'int32' }], { path: flat, rowLength: 9 });
    expect([...(feeds.tokens.data as Int32Array)]).to.eql([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('reads the first rows alone where that is asked for', async () => {
    expect(await readTokenRows({ path: flat, rowLength: 3, lengths, rows: 2 })).to.eql([[1, 2, 3], [4]]);
  });

  it('knows token files by their endings', () => {
    expect(['a.i32', 'a.npy', 'b/c.u16', 'a.npz', 'folder'].map(isTokenFile)).to.eql([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  describe('refuses', () => {
    const refuse = (file: TokenFile, words: RegExp, inputs = [IDS]) =>
      expectError(() => all(inputs, file), 'INVALID_INPUTS', words);

    it('a flat file without the length of its rows', () => refuse({ path: flat }, /--row-length/));
    it('tokens that are no whole rows', () => refuse({ path: flat, rowLength: 4 }, /9 tokens.* rows of 4/));
    it('bytes that are no whole tokens', async () =>
      refuse({ path: await files.write('bad.i32', new Uint8Array(7)), rowLength: 1 }, /7 bytes.* int32/));
    it('lengths of another number of rows', () =>
      refuse({ path: flat, rowLength: 9, lengths }, /3 lengths for the 1 rows/));
    it('a length beyond the row', async () => {
      const long = await files.write('long.i32', new Uint8Array(Int32Array.from([1, 4, 1]).buffer));
      await refuse({ path: flat, rowLength: 3, lengths: long }, /says 4 for row 1/);
    });
    it('a model that needs more than tokens', () =>
      refuse({ path: flat, rowLength: 3 }, /also needs 'image'/, [
        IDS,
        { name: 'image', type: 'float32', shape: [1, 3] },
      ]));
    it('a model with two inputs that may be meant', () =>
      refuse({ path: flat, rowLength: 3 }, /no input of the model is plainly theirs/, [
        { ...IDS, name: 'a' },
        { ...IDS, name: 'b' },
      ]));
    it('a file that is not there', () =>
      expectError(
        () => all([IDS], { path: join(files.folder, 'none.i32'), rowLength: 1 }),
        'IO',
        /none\.i32/,
      ));
  });
});
