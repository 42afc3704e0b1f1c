/** What one thread chooses for its sessions does not matter to the sessions of another, nor the other way round. */
import { expect } from 'chai';
import { join } from 'node:path';
import { DIST, fixture, PRELUDE, runScript } from './helpers.js';

const PLUGIN = join(DIST, 'src', 'validation', 'plugin.js');
const SESSION = join(DIST, 'src', 'session.js');

/** A worker that opens sessions within `withPlugin(wanted, …)`, one each time it is asked; `opens` says whether the model opened. */
const SCRIPT = `${PRELUDE}
  const { Worker, isMainThread, parentPort, workerData } = await import('node:worker_threads');
  const { register, unregister } = await import(REGISTER);
  const { withPlugin } = await import(${JSON.stringify(PLUGIN)});
  const { createSession } = await import(${JSON.stringify(SESSION)});
  const ort = await import('onnxruntime-node');
  const opens = async () => (await failure(runDouble(ort))) === 'no failure';
  const next = (port) => new Promise((resolve) => port.once('message', resolve));

  if (!isMainThread) await withPlugin(workerData, async () => {
    for (parentPort.postMessage('ready'); (await next(parentPort)) !== 'end'; ) parentPort.postMessage(await opens());
  });
  else console.log(JSON.stringify(await main()));

  async function inTurnOf(wanted) {
    const worker = new Worker(new URL(import.meta.url), { workerData: wanted });
    const ended = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
    await next(worker);
    return {
      opens: () => (worker.postMessage('open'), next(worker)),
      end: () => (worker.postMessage('end'), ended),
      terminate: () => worker.terminate(),
    };
  }`;

const run = (main: string) =>
  runScript(`${SCRIPT}\n  async function main() { ${main} }`, {
    env: { BLOCKRANK_LIBRARY: fixture('double') },
  });

describe('a session of one thread', () => {
  it('has the operators while another thread opens sessions without them', async () => {
    const answers = await run(`
      register();
      const other = await inTurnOf(false);
      const during = [await opens(), await other.opens()];
      await other.end();
      return [...during, await opens()];`);
    expect(answers).to.deep.equal([true, false, true]);
  });

  it('has them not while another thread opens sessions with them, which unregister does not change', async () => {
    const answers = await run(`
      const before = await opens();
      const other = await inTurnOf(true);
      const during = [await opens(), await other.opens()];
      register();
      unregister();
      during.push(await opens(), await other.opens());
      await other.end();
      return [before, ...during, await opens()];`);
    expect(answers).to.deep.equal([false, false, true, false, true, false]);
  });

  it('keeps what was registered while another thread chose otherwise, also where that thread was ended', async () => {
    const answers = await run(`
      const other = await inTurnOf(false);
      register();
      const during = [await opens(), await other.opens()];
      await other.terminate();
      const registered = await opens();
      unregister();
      return [...during, registered, await opens()];`);
    expect(answers).to.deep.equal([true, false, true, false]);
  });

  it('has them from createSession while other threads unregister all the time', async () => {
    const answers = await run(`
      const worker = new Worker(\`
        const { parentPort } = require('node:worker_threads');
        const { register, unregister } = require('\${REGISTER}');
        const again = () => { register(); unregister(); setImmediate(again); };
        again();
        parentPort.postMessage('ready');\`, { eval: true });
      await next(worker);
      const failures = [];
      for (let i = 0; i < 100; i++) {
        const error = await failure(createSession(MODEL, { device: 'cpu' }).then(({ session }) => session.release()));
        if (error !== 'no failure') failures.push(error);
      }
      await worker.terminate();
      return failures;`);
    expect(answers).to.deep.equal([]);
  });
});
