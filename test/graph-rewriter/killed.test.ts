import { expect } from 'chai';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { densifyModel } from '../../graph-rewriter/densify.js';
import { saveExternal } from './helpers/external-data.js';
import { encodeModel, node, tensor, valueInfo } from './helpers/onnx.js';
import { random } from './helpers/reference.js';
import { rewriteAny, save, sha256, workspace } from './helpers/workspace.js';

/** KILL_POINTS=50 for more; each starts a process. */
const POINTS = Number(process.env['KILL_POINTS'] ?? 3);
const SIZE = 384;
const CHILD = fileURLToPath(new URL('./helpers/rewrite-child.js', import.meta.url));

/** Six megabytes, of which half are copied. */
function model(): Uint8Array {
  const names = Array.from({ length: 10 }, (_, i) => `w${i}`);
  return encodeModel({
    inputs: [valueInfo('x', ['n', SIZE])],
    outputs: [valueInfo('y', ['n', SIZE])],
    nodes: [
      node('MatMul', ['x', 'w0'], ['a'], {}, { name: 'fc' }),
      node('Mul', ['a', 'sum'], ['y']),
      node('Sum', names.slice(1), ['s']),
      node('ReduceMean', ['s'], ['sum'], { keepdims: 0 }),
    ].sort((a, b) => Number(a.opType === 'Mul') - Number(b.opType === 'Mul')),
    initializers: names.map((name, i) => tensor(name, [SIZE, SIZE], random(SIZE * SIZE, i))),
  });
}

async function started() {
  const child = fork(CHILD);
  await once(child, 'message');
  return child;
}

/** How long an undisturbed rewrite takes in such a process, in milliseconds. */
async function duration(source: string): Promise<number> {
  const child = await started();
  const start = performance.now();
  child.send({ source, target: join(workspace(), 'o.onnx') });
  expect(await once(child, 'message').then(([answer]) => answer as string)).to.equal('done');
  return performance.now() - start;
}

describe('a rewrite that is killed', () => {
  const forms = {
    'one file': () => save(model()),
    'external data': () =>
      saveExternal(model(), (name) => ({ location: `${name}.bin`, length: 4 * SIZE * SIZE })),
  };
  for (const [name, make] of Object.entries(forms))
    for (const inPlace of [false, true])
      it(`leaves the source and a complete target, or none: ${name}${inPlace ? ', in place' : ''}`, async function () {
        this.timeout(240_000);
        const whole = await duration(make());
        const ends = { absent: 0, complete: 0 };
        for (let point = 0; point < POINTS; point++) {
          const source = make();
          const target = inPlace ? source : join(dirname(source), 'o.onnx');
          const before = new Map(
            readdirSync(dirname(source)).map((f) => [f, sha256(join(dirname(source), f))]),
          );
          const child = await started();
          const gone = once(child, 'exit');
          child.send({ source, target });
          await sleep((whole * 1.3 * (point + 0.5)) / POINTS);
          child.kill('SIGKILL');
          await gone;
          for (const [file, hash] of before)
            if (!(inPlace && join(dirname(source), file) === source))
              expect(sha256(join(dirname(source), file)), file).to.equal(hash);
          const isNew = inPlace ? sha256(source) !== before.get('model.onnx') : existsSync(target);
          if (isNew) await densifyModel(target, join(workspace(), 'back.onnx'));
          ends[isNew ? 'complete' : 'absent']++;
          // Another try works, and takes away what the killed one left half-written.
          if (!isNew) await rewriteAny(source, target, { minSize: 1 }, { overwrite: true });
          expect(readdirSync(dirname(target)).filter((file) => file.endsWith('.tmp') && !isNew)).to.be.empty;
        }
        expect(ends.absent).to.be.greaterThan(0);
      });

  for (const [name, make] of Object.entries(forms))
    it(`does not disturb another process that writes the same target: ${name}`, async () => {
      const source = make();
      const folder = join(dirname(source), 'out');
      mkdirSync(folder);
      const target = join(folder, 'o.onnx');
      const [a, b] = [await started(), await started()];
      for (const child of [a, b]) child.send({ source, target });
      const answers = await Promise.all(
        [a, b].map((child) => once(child, 'message').then(([m]) => m as string)),
      );
      expect(answers).to.deep.equal(['done', 'done']);
      expect(readdirSync(folder)).to.have.length(name === 'one file' ? 1 : 2);
      await densifyModel(target, join(workspace(), 'back.onnx'));
    });

  it('cleans up after dead processes alone', async () => {
    const source = save(model());
    const folder = dirname(source);
    // The number of no process: the largest is 2²² on Linux.
    const strangers = ['.o.onnx.00000000-4194999-0123456789ab.tmp', '.other.onnx.tmp', '.o.onnx.tmp'];
    for (const name of strangers) writeFileSync(join(folder, name), 'x');
    await rewriteAny(source, join(folder, 'o.onnx'), { minSize: 1 });
    expect(strangers.map((name) => readFileSync(join(folder, name), 'utf8'))).to.deep.equal(['x', 'x', 'x']);
  });
});
