/** Sessions come and go while other threads register and unregister: nothing crashes, races or leaks. */
import { expect } from 'chai';
import { join } from 'node:path';
import { DIST, ROOT, runScript } from './loader/helpers.js';
import { underSanitizer, whyNotSanitized } from './loader/sanitizer.js';
import { encodeModel, node, tensor, valueInfo } from './graph-rewriter/helpers/onnx.js';
import { random } from './graph-rewriter/helpers/reference.js';
import { runModel } from './graph-rewriter/helpers/run.js';
import { rewriteAny, save } from './graph-rewriter/helpers/workspace.js';

/** THREAD_SESSIONS=200 for the full run; a sanitizer's takes a fraction of them unless it is asked for. */
const ASKED = process.env['THREAD_SESSIONS'];
const SESSIONS = Number(ASKED ?? 50);
const SANITIZED = Number(ASKED ?? 15);
const WARM = 20;
const WORKERS = 4;
/** MiB of resident memory that may be added after the first sessions: what five heaps of JavaScript move by. */
const GROWTH = 16;
/** Factors of half a megabyte: sessions that stay would show. */
const SIZE = 512;

interface Outcome {
  readonly worst: number;
  readonly resident: readonly number[];
  readonly cycles: readonly number[];
}

/** The script of the main thread and of its workers. */
function script(sessions: number, model: string, expected: readonly number[], x: readonly number[]): string {
  return `
    import { setFlagsFromString } from 'node:v8';
    import { runInNewContext } from 'node:vm';
    import { isMainThread, parentPort, Worker } from 'node:worker_threads';
    const { createSession, register, unregister } = await import(${JSON.stringify(join(DIST, 'src', 'index.js'))});
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc');
    if (isMainThread) await main(); else work();

    async function main() {
      const { Tensor } = (await import('onnxruntime-node')).default;
      register();
      const workers = Array.from({ length: ${WORKERS} }, () => new Worker(new URL(import.meta.url), {
        resourceLimits: { maxYoungGenerationSizeMb: 2 } }));
      await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
      const [x, expected] = ${JSON.stringify([x, expected])};
      const resident = [];
      let worst = 0;
      for (let i = 0; i < ${sessions}; i++) {
        const { session } = await createSession(${JSON.stringify(model)}, { device: 'cpu', intraOpNumThreads: 1, logSeverityLevel: 3 });
        const { y } = await session.run({ x: new Tensor('float32', Float32Array.from(x), [1, ${SIZE}]) });
        y.data.forEach((value, j) => { worst = Math.max(worst, Number.isFinite(value) ? Math.abs(value - expected[j]) : Infinity); });
        await session.release();
        collect();
        resident.push(process.memoryUsage.rss() / 2 ** 20);
      }
      const cycles = await Promise.all(workers.map((worker) => new Promise((resolve, reject) => {
        worker.once('message', resolve).once('error', reject);
        worker.postMessage('stop');
      })));
      console.log(JSON.stringify({ worst, resident, cycles }));
    }

    function work() {
      let count = 0;
      let isRunning = true;
      parentPort.once('message', () => { isRunning = false; });
      parentPort.postMessage('ready');
      const again = () => {
        if (!isRunning) return parentPort.postMessage(count);
        register();
        unregister();
        count++;
        setTimeout(again, 1);
      };
      again();
    }`;
}

/** A rewritten model, and what it must answer. */
async function prepare() {
  const source = save(
    encodeModel({
      inputs: [valueInfo('x', [1, SIZE])],
      outputs: [valueInfo('y', [1, SIZE])],
      nodes: [node('MatMul', ['x', 'w'], ['y'], {}, { name: 'fc' })],
      initializers: [tensor('w', [SIZE, SIZE], random(SIZE * SIZE, 1))],
    }),
  );
  const target = source.replace('model.onnx', 'rewritten.onnx');
  const report = await rewriteAny(source, target, { minSize: 1 });
  expect(report.layers[0].result).to.not.equal(undefined);
  const x = random(SIZE, 2);
  // The portable form, alone in this process: what all must answer, with the plugin or without.
  const { y } = await runModel(target, { x: { dims: [1, SIZE], data: x } });
  return { target, x, y: [...y.data] };
}

describe('sessions created and released while four threads register and unregister', function () {
  this.timeout(ASKED === undefined ? 120_000 : 600_000);
  let prepared: Awaited<ReturnType<typeof prepare>>;
  before(async () => {
    prepared = await prepare();
  });

  async function run(sessions: number, env: object): Promise<readonly number[]> {
    const { target, x, y } = prepared;
    const { worst, resident, cycles } = (await runScript(script(sessions, target, y, [...x]), {
      folder: ROOT,
      env,
    })) as Outcome;
    const scale = Math.max(...y.map(Math.abs));
    expect(scale).to.be.greaterThan(0.1);
    expect(worst).to.be.at.most(1e-5 * scale);
    expect(resident).to.have.length(sessions);
    expect(Math.min(...cycles), 'each thread took part').to.be.greaterThan(5);
    if (ASKED !== undefined)
      process.stderr.write(`${sessions} sessions: worst ${worst}, cycles ${cycles.join(' ')}\n`);
    return resident;
  }

  it(`give the right results, and stay within ${GROWTH} MiB of memory after the first ${WARM}`, async () => {
    const resident = await run(SESSIONS, {});
    const growth = Math.max(...resident.slice(WARM)) - resident[WARM - 1];
    expect(growth, `${resident[WARM - 1].toFixed(1)} MiB after ${WARM}`).to.be.at.most(GROWTH);
    if (ASKED !== undefined) process.stderr.write(`growth ${growth.toFixed(1)} MiB\n`);
  });

  for (const kind of ['address', 'thread'] as const)
    it(`leave nothing for the ${kind} sanitizer to report`, async function () {
      const reason = whyNotSanitized(kind);
      if (reason !== undefined) this.test!.title += ` (not run: ${reason})`;
      if (reason !== undefined) this.skip();
      const { env, reports } = underSanitizer(kind);
      try {
        await run(SANITIZED, env);
      } finally {
        expect(reports()).to.deep.equal([]);
      }
    });
});
