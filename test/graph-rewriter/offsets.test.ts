// Models whose data files are larger than 32 bits can count: sparse files, so that they take no room.
import { expect } from 'chai';
import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { entry } from '../../graph-rewriter/encode.js';
import { GRAPH, MODEL, TENSOR } from '../../graph-rewriter/schema.js';
import { Edit } from '../../graph-rewriter/wire/edit.js';
import { Message } from '../../graph-rewriter/wire/message.js';
import { delimited, varintField } from '../../graph-rewriter/wire/pieces.js';
import { BytesSource } from '../../graph-rewriter/wire/source.js';
import { expectError } from './helpers/errors.js';
import { B, IN, layerModel, OUT, W, weightTensor } from './helpers/layer-model.js';
import { encodeModel, node, tensor, valueInfo } from './helpers/onnx.js';
import { random, relativeDifference } from './helpers/reference.js';
import { runModel } from './helpers/run.js';
import { flatten } from './helpers/unknown-fields.js';
import { rewriteKnown, save, workspace } from './helpers/workspace.js';

const SIZE = 4 * IN * OUT;
const dense = random(IN * OUT, 9);

interface Place {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** Two files, offsets not in order; `same` and `twin` share one range, which crosses 2³². */
const PLACES: Readonly<Record<string, Place>> = {
  w: { location: 'a.data', offset: 2 ** 33 + 4096, length: SIZE },
  same: { location: 'a.data', offset: 2 ** 32 - 64, length: SIZE },
  twin: { location: 'a.data', offset: 2 ** 32 - 64, length: SIZE },
  b: { location: 'b.data', offset: 2 ** 32 + 2 ** 31 + 4, length: 4 * OUT },
  low: { location: 'b.data', offset: 2 ** 31 - 64, length: SIZE },
};
const low = random(IN * OUT, 10);

function model(): Uint8Array {
  return layerModel({
    nodes: [
      node('MatMul', ['x', 'w'], ['m'], {}, { name: 'fc' }),
      node('Add', ['m', 'b'], ['v']),
      node('MatMul', ['x', 'low'], ['l'], {}, { name: 'dense' }),
      node('MatMul', ['x', 'same'], ['d'], {}, { name: 'first' }),
      node('MatMul', ['x', 'twin'], ['e'], {}, { name: 'second' }),
      node('Sum', ['v', 'l', 'd', 'e'], ['y']),
    ],
    initializers: [
      tensor('b', [OUT], B),
      weightTensor('inOut'),
      tensor('low', [IN, OUT], low),
      tensor('same', [IN, OUT], dense),
      tensor('twin', [IN, OUT], dense),
    ],
  });
}

/** Writes the model with its data at those places, in files with holes. */
function saveSparse(bytes: Uint8Array, places: Readonly<Record<string, Place>>): string {
  const folder = workspace();
  const message = Message.of(new BytesSource(bytes));
  const edit = new Edit();
  for (const initializer of message.messages(MODEL.graph)[0].messages(GRAPH.initializer)) {
    const place = places[initializer.string(TENSOR.name)];
    for (const raw of initializer.all(TENSOR.rawData)) {
      writeAt(join(folder, place.location), initializer.bytes(raw), place.offset);
      edit.remove(initializer, raw);
    }
    for (const [key, value] of Object.entries(place))
      edit.append(initializer, delimited(TENSOR.externalData, [entry(key, String(value))]));
    edit.append(initializer, [varintField(TENSOR.dataLocation, 1)]);
  }
  return save(flatten(edit.render(message)), 'model.onnx', folder);
}

function writeAt(path: string, bytes: Uint8Array, offset: number): void {
  const handle = openSync(path, constants.O_CREAT | constants.O_WRONLY);
  writeSync(handle, bytes, 0, bytes.length, offset);
  closeSync(handle);
}

describe('data beyond what 31 and 32 bits count', () => {
  it('is inspected without being read', async () => {
    const source = saveSparse(model(), PLACES);
    const info = await inspectModel(source);
    expect(info.layers.map(({ weight, bytes }) => [weight, bytes])).to.deep.equal(
      ['w', 'low', 'same', 'twin'].map((name) => [name, SIZE]),
    );
    // The range that two tensors share counts once.
    expect(info.bytes).to.equal(readFileSync(source).length + 3 * SIZE + 4 * OUT);
  });

  it('is factorized and copied from where it lies', async () => {
    const source = saveSparse(model(), PLACES);
    const feeds = { x: { dims: [2, 3, IN], data: random(6 * IN, 1) } };
    // rewriteKnown checks the weight that the rewriter reads at 8 GiB.
    const { target, report } = await rewriteKnown(source, { w: W });
    expect(report.layers.filter(({ result }) => result !== undefined)).to.have.length(1);
    const inline = save(model());
    const [before, after] = [await runModel(inline, feeds), await runModel(target, feeds)];
    expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(2e-6);
    const data = readdirSync(dirname(target)).find((name) => name.startsWith('out.onnx.'))!;
    expect(statSync(join(dirname(target), data)).size).to.be.below(100_000);
  });

  it('may be a tensor longer than that, left as it is', async () => {
    const rows = 2 ** 21 + 1;
    const columns = 1024;
    const bytes = encodeModel({
      inputs: [valueInfo('x', [1, rows])],
      outputs: [valueInfo('y', [1, columns])],
      nodes: [node('MatMul', ['x', 'w'], ['y'], {}, { name: 'huge' })],
      initializers: [{ name: 'w', dims: [rows, columns], dataType: 1 }],
    });
    const length = 4 * rows * columns;
    const source = saveSparse(bytes, { w: { location: 'w.data', offset: 4096, length } });
    writeFileSync(join(dirname(source), 'w.data'), '');
    truncateSync(join(dirname(source), 'w.data'), 4096 + length);
    expect(length).to.be.above(2 ** 32);
    const info = await inspectModel(source);
    expect(info.layers[0]).to.include({ node: 'huge', bytes: length });
    expect(info.bytes).to.equal(readFileSync(source).length + length);
  });

  it('is refused where it ends one byte past the end of its file', async () => {
    const { offset } = PLACES['w'];
    const source = saveSparse(model(), PLACES);
    truncateSync(join(dirname(source), 'a.data'), offset + SIZE - 1);
    await expectError(
      () => inspectModel(source),
      'EXTERNAL_DATA',
      new RegExp(`'w' lies at bytes ${offset}…${offset + SIZE} of a\\.data`),
    );
  });

  it('reads with the same offsets in onnxruntime-node', async () => {
    const source = saveSparse(model(), PLACES);
    const feeds = { x: { dims: [1, 1, IN], data: random(IN, 1) } };
    const [outside, inside] = [await runModel(source, feeds), await runModel(save(model()), feeds)];
    expect([...outside.y.data]).to.deep.equal([...inside.y.data]);
  });
});
