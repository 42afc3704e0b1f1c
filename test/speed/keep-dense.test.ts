import { expect } from 'chai';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { planRewrite } from '../../graph-rewriter/plan.js';
import { keepDenseIfSlower } from '../../src/speed/keep-dense.js';
import { machineKey } from '../../src/speed/machine.js';
import { TimeCache } from '../../src/speed/time-cache.js';
import { timeLayer } from '../../src/speed/time-layer.js';
import { matMulModel, scratch, type Scratch } from '../validation/helpers/tiny-model.js';

const SPEC = { structure: 'blast', rank: 6, blocksIn: 4, blocksOut: 4 } as const;

describe('timeLayer', () => {
  for (const structure of ['blast', 'monarch', 'low-rank'] as const)
    for (const type of ['float32', 'float16'] as const)
      it(`times ${structure} in ${type} at every token count`, async () => {
        const blocks = structure === 'low-rank' ? 1 : 4;
        const spec = { structure, rank: 6, blocksIn: blocks, blocksOut: blocks };
        const times = await timeLayer(
          { in: 96, out: 80, type },
          { spec, factorType: type, compute: 'float' },
          [40, 1],
        );
        expect(times.map(({ tokens }) => tokens)).to.deep.equal([1, 40]);
        for (const { dense, factorized } of times) {
          expect(dense).to.be.within(1e-5, 1e3);
          expect(factorized).to.be.within(1e-5, 1e3);
        }
      });

  it('times int8 factors', async () => {
    const layer = { in: 96, out: 80, type: 'float32' } as const;
    const weight = { spec: SPEC, factorType: 'int8', compute: 'int8' } as const;
    const [time] = await timeLayer(layer, weight, [8]);
    expect(time.factorized).to.be.within(1e-5, 1e3);
  });

  it('sees that a rank far beyond the break-even point is slower', async () => {
    const spec = { structure: 'low-rank', rank: 512, blocksIn: 1, blocksOut: 1 } as const;
    const layer = { in: 128, out: 128, type: 'float32' } as const;
    const [time] = await timeLayer(layer, { spec, factorType: 'float32', compute: 'float' }, [256]);
    expect(time.factorized).to.be.greaterThan(time.dense);
  });
});

describe('keepDenseIfSlower', () => {
  let files: Scratch;
  let model: string;

  before(async () => {
    files = await scratch();
    model = await files.write('model.onnx', matMulModel(96, 80, Math.sin));
  });
  after(() => files.remove());

  /** A plan for the model, with times that were measured before. */
  async function decide(times: { tokens: number; dense: number; factorized: number }[], name: string) {
    const info = await inspectModel(model);
    const plan = planRewrite(info, { structure: 'blast', rank: SPEC.rank, blocks: 4 });
    const path = join(files.folder, name);
    const cache = await TimeCache.open(machineKey(undefined), path);
    const what = JSON.stringify([{ in: 96, out: 80, type: 'float32' }, SPEC, 'float32', 'float']);
    times.forEach((time) => cache.set(what, time));
    await cache.save();
    const tokens = times.map((time) => time.tokens);
    return keepDenseIfSlower(info, plan, { tokens, cache: path });
  }

  it('rewrites what is faster', async () => {
    const { layers } = await decide([{ tokens: 1, dense: 2, factorized: 1 }], 'a.json');
    expect(layers[0]).to.have.property('spec');
  });

  it('keeps dense what is slower, and says both times', async () => {
    const times = [
      { tokens: 1, dense: 1, factorized: 3 },
      { tokens: 64, dense: 10, factorized: 9 },
    ];
    const { layers } = await decide(times, 'b.json');
    expect(layers[0]).to.have.nested.property('keep.code', 'slower-than-dense');
    expect(layers[0])
      .to.have.nested.property('keep.message')
      .that.contains('3.00 ms against 1.00 ms dense at 1 token, 9.00 ms against 10.0 ms dense at 64 tokens');
  });

  it('rewrites what is as fast within the noise: it is smaller', async () => {
    const { layers } = await decide([{ tokens: 8, dense: 1, factorized: 1.02 }], 'c.json');
    expect(layers[0]).to.have.property('spec');
  });

  it('measures what is not in the cache, and keeps it there', async () => {
    const info = await inspectModel(model);
    const plan = planRewrite(info, { structure: 'blast', rank: SPEC.rank, blocks: 4 });
    const cache = join(files.folder, 'new', 'times.json');
    await keepDenseIfSlower(info, plan, { tokens: [2], cache });
    const first = await readFile(cache, 'utf8');
    expect(Object.keys(JSON.parse(first) as object)).to.have.length(1);
    await keepDenseIfSlower(info, plan, { tokens: [2], cache });
    expect(await readFile(cache, 'utf8')).to.equal(first);
  });
});

describe('TimeCache', () => {
  let files: Scratch;
  before(async () => void (files = await scratch()));
  after(() => files.remove());

  for (const [name, text] of [
    ['no JSON', 'not json'],
    ['another JSON', '[1, 2]'],
    ['damaged entries', '{"here | x | 1 tokens": {"tokens": 1, "dense": "fast"}}'],
  ])
    it(`counts a file of ${name} as empty`, async () => {
      const path = join(files.folder, 'cache.json');
      await writeFile(path, text);
      const cache = await TimeCache.open('here', path);
      expect(cache.get('x', 1)).to.equal(undefined);
    });

  it('tells machines apart', async () => {
    const path = join(files.folder, 'machines.json');
    const cache = await TimeCache.open('one', path);
    cache.set('x', { tokens: 1, dense: 2, factorized: 1 });
    await cache.save();
    expect((await TimeCache.open('one', path)).get('x', 1)).to.deep.equal({
      tokens: 1,
      dense: 2,
      factorized: 1,
    });
    expect((await TimeCache.open('other', path)).get('x', 1)).to.equal(undefined);
  });

  it('goes on where it cannot be written', async () => {
    const path = join(await files.write('file', new Uint8Array()), 'times.json');
    const cache = await TimeCache.open('here', path);
    cache.set('x', { tokens: 1, dense: 2, factorized: 1 });
    await cache.save();
    expect(cache.get('x', 1)).to.not.equal(undefined);
  });
});
