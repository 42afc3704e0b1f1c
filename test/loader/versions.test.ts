/**
 * The loader under other versions of onnxruntime-node, each installed once into .cache: set BLOCKRANK_TEST_ORT to a list such
 * as "1.20.1 1.23.2 1.30.0" (about 100 MB each).
 */
import { expect } from 'chai';
import { fixture, PRELUDE, runScript } from './helpers.js';
import { project, versions } from './other-versions.js';

// onnxruntime-node 1.21 brings the process down when it runs in a worker thread, without blockrank too.
const CRASHES_IN_WORKERS = /^1\.21\./;

const SCRIPT = `${PRELUDE}
  const { Worker, isMainThread, parentPort } = await import('node:worker_threads');
  const { register, registerCustomOpsLibrary, unregister } = await import(REGISTER);
  const doubled = async () => (await failure(runDouble(await import('onnxruntime-node')))) === 'no failure';
  const codeOf = (library) => {
    try { registerCustomOpsLibrary(library); } catch ({ code }) { return code; }
  };
  if (!isMainThread) {
    register({ library: LIBRARY });
    parentPort.postMessage(await doubled());
  } else {
    const { runtimes } = register({ library: LIBRARY });
    const { version } = runtimes[0];
    const main = await doubled();
    const codes = BROKEN.map(codeOf);
    unregister();
    const unregistered = await doubled();
    const workers = await Promise.all(Array.from({ length: WORKERS }, () => new Promise((resolve, reject) => {
      let answer;
      new Worker(new URL(import.meta.url)).on('message', (m) => (answer = m)).on('error', reject).on('exit', () => resolve(answer));
    })));
    console.log(JSON.stringify({ version, main, codes, unregistered, workers, after: await doubled() }));
  }`;

describe('the loader under other versions of onnxruntime-node', () => {
  if (versions.length === 0) it('is tested where BLOCKRANK_TEST_ORT lists them');
  for (const version of versions) {
    it(`works with ${version}`, async function () {
      this.timeout(300_000);
      fixture('double');
      const broken = ['no_entry', 'newer_api', 'newer_op', 'refuses', 'throws'].map(fixture);
      const workers = CRASHES_IN_WORKERS.test(version) ? 0 : 3;
      const script = SCRIPT.replace('BROKEN', JSON.stringify(broken)).replace('WORKERS', String(workers));
      expect(await runScript(script, { folder: project(version) })).to.deep.equal({
        version,
        main: true,
        codes: ['LIBRARY_INVALID', ...Array<string>(4).fill('LIBRARY_INCOMPATIBLE')],
        unregistered: false,
        workers: Array<boolean>(workers).fill(true),
        after: workers > 0,
      });
    });
  }
});
