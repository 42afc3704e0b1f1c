import { expect } from 'chai';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { applyPlan } from '../../graph-rewriter/apply.js';
import { densifyModel } from '../../graph-rewriter/densify.js';
import type { FactorizeLayer } from '../../graph-rewriter/types.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { saveExternal, type Placement } from './helpers/external-data.js';
import { expectError } from './helpers/errors.js';
import { B, IN, layerModel, OUT, W, weightTensor } from './helpers/layer-model.js';
import { node, readModel, tensor } from './helpers/onnx.js';
import { random, relativeDifference } from './helpers/reference.js';
import { runModel } from './helpers/run.js';
import { anyFactors, knownFactors, planFor, rewriteKnown, sha256, workspace } from './helpers/workspace.js';

const dense = random(IN * OUT, 9);

function model(): Uint8Array {
  return layerModel({
    nodes: [
      node('MatMul', ['x', 'w'], ['m'], {}, { name: 'fc' }),
      node('Add', ['m', 'b'], ['v']),
      node('MatMul', ['x', 'w2'], ['d'], {}, { name: 'dense' }),
      node('MatMul', ['x', 'w3'], ['e'], {}, { name: 'twin' }),
      node('Sum', ['v', 'd', 'e'], ['y']),
    ],
    initializers: [
      tensor('b', [OUT], B),
      weightTensor('inOut'),
      tensor('w2', [IN, OUT], dense),
      tensor('w3', [IN, OUT], dense),
    ],
  });
}

const SIZE = 4 * IN * OUT;
/** w2 and w3 share bytes; offsets are not in order; the bias stays in the model. */
const PLACES: Record<string, Placement> = {
  w: { location: 'a.data', offset: 8000, length: SIZE },
  w2: { location: 'b.data', offset: 64, length: SIZE, checksum: 'abc' },
  w3: { location: 'b.data', offset: 64, length: SIZE },
};
const place = (name: string) => PLACES[name];

async function compare(a: string, b: string): Promise<number> {
  const feeds = { x: { dims: [2, 3, IN], data: random(6 * IN, 1) } };
  const [before, after] = [await runModel(a, feeds), await runModel(b, feeds)];
  return relativeDifference(after.y.data, before.y.data);
}

describe('external data', () => {
  it('is read, counted once, and said to be where it is', async () => {
    const source = saveExternal(model(), place);
    const info = await inspectModel(source);
    expect(info.layers[0]).to.include({ location: 'external-data', bytes: SIZE });
    expect(info.bytes).to.equal(readFileSync(source).length + 2 * SIZE);
  });

  it('is written to one file beside the target, without the replaced weight, on page boundaries', async () => {
    const source = saveExternal(model(), place);
    const { target, report } = await rewriteKnown(source, { w: W });
    const folder = dirname(target);
    const data = readdirSync(folder).filter((name) => name.startsWith('out.onnx.'));
    expect(data).to.have.length(1);
    expect(data[0]).to.match(/^out\.onnx\.[0-9a-f]{12}\.data$/);
    const tensors = readModel(target).graph!.initializer!;
    expect(tensors.map((t) => t.name)).to.deep.equal(['b', 'w2', 'w3', 'w.V', 'w.S', 'w.U']);
    const placed = tensors
      .filter((t) => t.externalData!.length > 0)
      .map((t) => Object.fromEntries(t.externalData!.map((e) => [e.key, e.value])) as Record<string, string>);
    expect(placed.map((t) => t.location)).to.deep.equal(Array<string>(5).fill(data[0]));
    expect(placed.every((t) => Number(t.offset) % 4096 === 0)).to.be.true;
    expect(placed[0].offset).to.equal(placed[1].offset);
    expect(placed[0].checksum).to.equal('abc');
    const bytes = Uint8Array.from(readFileSync(join(folder, data[0])));
    const at = Number(placed[0].offset);
    expect([...new Float32Array(bytes.slice(at, at + SIZE).buffer)]).to.deep.equal([...dense]);
    expect(report.bytesAfter).to.equal(readFileSync(target).length + bytes.length);
    expect(await compare(source, target)).to.be.at.most(2e-6);
  });

  it('gives the same model and data every time, and never another data the same name', async () => {
    const source = saveExternal(model(), place);
    const plan = await planFor(source, { w: W });
    const { factorize } = knownFactors({ w: W });
    const folder = workspace();
    const target = join(folder, 'out.onnx');
    await applyPlan(source, target, plan, { factorize });
    const first = readdirSync(folder).map((name) => [name, sha256(join(folder, name))]);
    await applyPlan(source, target, plan, { factorize });
    expect(readdirSync(folder).map((name) => [name, sha256(join(folder, name))])).to.deep.equal(first);
    await applyPlan(source, target, plan, { factorize: anyFactors });
    expect(readdirSync(folder)).to.have.length(3);
  });

  it('has another name for other copied numbers, for another layout, and for another model with the same', async () => {
    const nameOf = async (bytes: Uint8Array, places = place, change?: (numbers: Uint8Array) => void) => {
      const source = saveExternal(bytes, places);
      const data = join(dirname(source), 'b.data');
      const numbers = Uint8Array.from(readFileSync(data));
      change?.(numbers);
      writeFileSync(data, numbers);
      const { target } = await rewriteKnown(source, { w: W });
      return readdirSync(dirname(target)).find((name) => name.startsWith('out.onnx.'));
    };
    const first = await nameOf(model());
    expect(await nameOf(model())).to.equal(first);
    const apart = (name: string) =>
      name === 'w3' ? { location: 'b.data', offset: 64 + SIZE, length: SIZE } : PLACES[name];
    const noted = new Uint8Array([...model(), 0x32, 1, 0x61]);
    const names = [
      first,
      await nameOf(model(), place, (numbers) => numbers.fill(1, 64, 68)),
      await nameOf(model(), apart),
      await nameOf(noted),
    ];
    expect(new Set(names).size).to.equal(names.length);
  });

  it('works in place: the model is replaced, its old data stays', async () => {
    const source = saveExternal(model(), place);
    const before = await runModel(source, { x: { dims: [1, 1, IN], data: random(IN, 1) } });
    const { factorize } = knownFactors({ w: W });
    await applyPlan(source, source, await planFor(source, { w: W }), { factorize, overwrite: true });
    const after = await runModel(source, { x: { dims: [1, 1, IN], data: random(IN, 1) } });
    expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(2e-6);
    expect(readdirSync(dirname(source))).to.include.members(['a.data', 'b.data']);
  });

  it('survives the way back', async () => {
    const source = saveExternal(model(), place);
    const { target } = await rewriteKnown(source, { w: W });
    const back = join(dirname(target), 'back.onnx');
    await densifyModel(target, back);
    expect(await compare(source, back)).to.be.at.most(2e-6);
    expect(readModel(back).graph!.initializer!.every((t) => t.name === 'b' || t.externalData!.length >= 3)).to
      .be.true;
  });

  it('leaves no data behind when the rewrite fails', async () => {
    const source = saveExternal(model(), place);
    const plan = await planFor(source, { w: W });
    const folder = workspace();
    const known = knownFactors({ w: W });
    // After the target was looked at: only the last rename meets it.
    const factorize: FactorizeLayer = (...layer) => {
      mkdirSync(join(folder, 'out.onnx'));
      return known.factorize(...layer);
    };
    await expectError(
      () => applyPlan(source, join(folder, 'out.onnx'), plan, { factorize }),
      'IO',
      /a folder of that name/,
    );
    expect(readdirSync(folder)).to.deep.equal(['out.onnx']);
  });

  it('may run to the end of its file', async () => {
    const source = saveExternal(model(), (name) =>
      name === 'w' ? { location: 'w.bin', offset: 128 } : undefined,
    );
    const { target } = await rewriteKnown(source, { w: W });
    expect(await compare(source, target)).to.be.at.most(2e-6);
  });

  it('is taken through links within the folder, and from where the model itself links to', async () => {
    const store = workspace();
    const source = saveExternal(model(), place, store);
    const cache = workspace();
    for (const name of ['model.onnx', 'a.data', 'b.data']) symlinkSync(join(store, name), join(cache, name));
    const info = await inspectModel(join(cache, basename(source)));
    expect(info.layers[0].bytes).to.equal(SIZE);
  });

  const refused: readonly [string, Placement, RegExp][] = [
    [
      'leaves the folder',
      { location: '../w.bin', length: SIZE },
      /'w' has its data in '\.\.\/w\.bin', which leaves the model's folder/,
    ],
    [
      'leaves the folder on the way',
      { location: 'sub/../../w.bin', length: SIZE },
      /leaves the model's folder/,
    ],
    ['is absolute', { location: '/tmp/blockrank-w.bin', length: SIZE }, /not a path relative to the model/],
    ['has no location', { location: '', length: SIZE }, /'w' is external but names no file/],
    [
      'ends past the end',
      { location: 'w.bin', length: SIZE + 1 },
      /lies at bytes 0…3457 of w.bin, which has 3456 bytes/,
    ],
    ['starts past the end', { location: 'w.bin', offset: 0, length: 1e15 }, /which has 3456 bytes/],
    [
      'has another length than its shape',
      { location: 'w.bin', length: SIZE - 4 },
      /'w' of shape \[24, 36\] has data of 863 elements/,
    ],
  ];
  for (const [name, placement, words] of refused)
    it(`is refused where it ${name}`, async () => {
      const safe = { ...placement, location: 'w.bin' };
      const source = saveExternal(model(), (tensor) => (tensor === 'w' ? safe : undefined));
      rename(source, 'w.bin', placement.location);
      const action = async () => {
        const plan = {
          version: 1,
          source: sha256(source),
          layers: [
            {
              id: 'fc',
              spec: { structure: 'low-rank', rank: 1, blocksIn: 1, blocksOut: 1 },
              factorType: 'float32',
            },
          ],
        } as const;
        await applyPlan(source, join(workspace(), 'o.onnx'), plan, { factorize: anyFactors });
      };
      await expectError(action, name.startsWith('has another') ? 'INVALID_MODEL' : 'EXTERNAL_DATA', words);
    });

  it('is refused where offset or length are no whole numbers', async () => {
    for (const length of [-1, 1.5, 1e300]) {
      const source = saveExternal(model(), (name) =>
        name === 'w' ? { location: 'w.bin', length } : undefined,
      );
      await expectError(
        () => inspectModel(source),
        'EXTERNAL_DATA',
        /expected its length to be a whole number/,
      );
    }
  });

  it('is refused where the file is missing, became shorter, or links out of the folder', async () => {
    const source = saveExternal(model(), place);
    const file = join(dirname(source), 'a.data');
    truncateSync(file, 100);
    await expectError(() => inspectModel(source), 'EXTERNAL_DATA', /has 100 bytes\. The file is incomplete/);
    rmSync(file);
    await expectError(() => inspectModel(source), 'EXTERNAL_DATA', /does not exist/);
    const secret = join(workspace(), 'secret');
    writeFileSync(secret, new Uint8Array(20000));
    symlinkSync(secret, file);
    await expectError(() => inspectModel(source), 'EXTERNAL_DATA', /a link that leaves the model's folder/);
  });
});

/** Changes a location inside the file, keeping all lengths right by encoding anew. */
function rename(path: string, from: string, to: string): void {
  if (from === to) return;
  const decoded = readModel(path);
  for (const t of decoded.graph!.initializer!)
    for (const e of t.externalData ?? []) if (e.key === 'location' && e.value === from) e.value = to;
  writeFileSync(
    path,
    (decoded.constructor as unknown as { encode(m: object): { finish(): Uint8Array } })
      .encode(decoded)
      .finish(),
  );
}
