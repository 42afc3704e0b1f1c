import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Model } from '../../graph-rewriter/model.js';
import { setMetadata } from '../../graph-rewriter/model-edit.js';
import { TensorStore } from '../../graph-rewriter/tensor-store.js';
import { Edit } from '../../graph-rewriter/wire/edit.js';
import { writeModel } from '../../graph-rewriter/write-model.js';
import { constant, encodeModel, node, readModel, tensor, valueInfo } from './helpers/onnx.js';
import { random } from './helpers/reference.js';
import { runModel } from './helpers/run.js';
import { save, sha256, workspace } from './helpers/workspace.js';

const SIZE = 40;
const COUNT = SIZE * SIZE;

/** y = x W1 W2 + b + c, of which W1, W2 and the Constant c have a page or more. */
const bytes = () =>
  encodeModel({
    inputs: [valueInfo('x', ['n', SIZE])],
    outputs: [valueInfo('y', [SIZE, SIZE])],
    nodes: [
      constant('c', tensor('', [SIZE, SIZE], random(COUNT, 4))),
      node('MatMul', ['x', 'w1'], ['a']),
      node('MatMul', ['a', 'w2'], ['d']),
      node('Sum', ['d', 'b', 'c'], ['y']),
    ],
    initializers: [
      tensor('w1', [SIZE, SIZE], random(COUNT, 1)),
      tensor('b', [SIZE], random(SIZE, 2)),
      tensor('w2', [SIZE, SIZE], random(COUNT, 3)),
    ],
  });

async function write(source: string, limit: number, change: (edit: Edit, model: Model) => void) {
  const target = join(workspace(), 'o.onnx');
  const model = Model.open(source);
  const store = await TensorStore.create(target, true);
  const edit = new Edit();
  change(edit, model);
  const written = await writeModel(model, edit, target, store, new Set(), limit);
  await store.close();
  model.close();
  return { target, written };
}

const note = (edit: Edit, model: Model) => setMetadata(edit, model, { note: 'x' });

describe('writeModel', () => {
  it('moves large initializers of a file above the limit to its data file, and nothing else', async () => {
    const source = save(bytes());
    const { target, written } = await write(source, 1000, note);
    const { graph } = readModel(target);
    const where = graph!.initializer!.map((t) => [t.name, t.dataLocation, t.rawData!.length]);
    expect(where).to.deep.equal([
      ['w1', 1, 0],
      ['b', 0, 4 * SIZE],
      ['w2', 1, 0],
    ]);
    const files = readdirSync(dirname(target));
    expect(files).to.have.length(2);
    expect(written).to.equal(
      files.reduce((sum, name) => sum + readFileSync(join(dirname(target), name)).length, 0),
    );
    const feeds = { x: { dims: [SIZE, SIZE], data: random(COUNT, 5) } };
    const [before, after] = [await runModel(source, feeds), await runModel(target, feeds)];
    expect([...after.y.data]).to.deep.equal([...before.y.data]);
  });

  it('leaves them in a file below the limit, and in one that nothing changes', async () => {
    const source = save(bytes());
    const { target: small } = await write(source, 1e6, note);
    expect(readModel(small).graph!.initializer!.every((t) => t.rawData!.length > 0)).to.equal(true);
    const { target: same } = await write(source, 1000, () => {});
    expect(sha256(same)).to.equal(sha256(source));
    expect(readdirSync(dirname(same))).to.deep.equal(['o.onnx']);
  });
});
