/** What depends on the process as a whole: load order, module systems, worker threads. */
import { expect } from 'chai';
import { fixture, PRELUDE, runScript } from './helpers.js';
import { isolatedBlockrank } from './isolated.js';

const DOUBLED = [2, 4, 6];

describe('register, in a process of its own', () => {
  before(() => {
    fixture('double');
  });

  it('works before onnxruntime-node is imported', async () => {
    const result = await runScript(`${PRELUDE}
      const { register } = await import(REGISTER);
      register({ library: LIBRARY });
      const ort = await import('onnxruntime-node');
      console.log(JSON.stringify(await runDouble(ort)));`);
    expect(result).to.deep.equal(DOUBLED);
  });

  it('works after onnxruntime-node is imported and has made sessions', async () => {
    const result = await runScript(`${PRELUDE}
      const ort = await import('onnxruntime-node');
      const before = await failure(runDouble(ort));
      const { register } = await import(REGISTER);
      register({ library: LIBRARY });
      console.log(JSON.stringify([before !== 'no failure', await runDouble(ort)]));`);
    expect(result).to.deep.equal([true, DOUBLED]);
  });

  it('works for CommonJS users', async () => {
    const script = `${PRELUDE}
      const { register } = require(REGISTER);
      register({ library: LIBRARY });
      runDouble(require('onnxruntime-node')).then((y) => console.log(JSON.stringify(y)));`;
    expect(await runScript(script, { extension: 'cjs' })).to.deep.equal(DOUBLED);
  });

  it('works in worker threads that register and create sessions at the same time', async () => {
    const result = await runScript(`${PRELUDE}
      const { Worker, isMainThread, parentPort } = await import('node:worker_threads');
      if (isMainThread) {
        const one = () => new Promise((resolve, reject) => {
          new Worker(new URL(import.meta.url)).on('message', resolve).on('error', reject);
        });
        console.log(JSON.stringify(await Promise.all([one(), one(), one(), one()])));
      } else {
        const ort = await import('onnxruntime-node');
        const { register } = await import(REGISTER);
        const results = [];
        for (let i = 0; i < 10; ++i) {
          register({ library: LIBRARY });
          results.push(await runDouble(ort));
        }
        parentPort.postMessage(results);
      }`);
    expect(result).to.deep.equal(Array(4).fill(Array(10).fill(DOUBLED)));
  });

  it('holds for workers and the main thread after the worker that registered has ended', async () => {
    const result = await runScript(`${PRELUDE}
      const { Worker, isMainThread, workerData, parentPort } = await import('node:worker_threads');
      const step = (workerData) => new Promise((resolve, reject) => {
        let answer;
        new Worker(new URL(import.meta.url), { workerData })
          .on('message', (m) => (answer = m)).on('error', reject).on('exit', () => resolve(answer));
      });
      if (isMainThread) {
        const first = await step('register');
        const second = await step('run');
        const ort = await import('onnxruntime-node');
        console.log(JSON.stringify([first, second, await runDouble(ort)]));
      } else if (workerData === 'register') {
        const { register } = await import(REGISTER);
        parentPort.postMessage(register({ library: LIBRARY }).runtimes.length);
      } else {
        parentPort.postMessage(await runDouble(await import('onnxruntime-node')));
      }`);
    expect(result).to.deep.equal([1, DOUBLED, DOUBLED]);
  });

  it('and unregister may be called while other threads create sessions', async () => {
    const result = await runScript(`${PRELUDE}
      const { Worker, isMainThread, parentPort } = await import('node:worker_threads');
      const { register, unregister } = await import(REGISTER);
      const ort = await import('onnxruntime-node');
      if (isMainThread) {
        register({ library: LIBRARY });
        const worker = new Worker(new URL(import.meta.url));
        let answer;
        worker.on('message', (m) => (answer = m));
        const ended = new Promise((resolve) => worker.on('exit', resolve));
        while (answer === undefined) {
          register({ library: LIBRARY });
          await new Promise(setImmediate);
          unregister();
          await new Promise(setImmediate);
        }
        await ended;
        console.log(JSON.stringify(answer));
      } else {
        const answers = new Set();
        for (let i = 0; i < 50; ++i) {
          answers.add(await runDouble(ort).then(String, (e) => (/Double/.test(e.message) ? 'unknown' : e.message)));
        }
        parentPort.postMessage([...answers].filter((a) => a !== 'unknown' && a !== '2,4,6'));
      }`);
    expect(result).to.deep.equal([]);
  });
});

describe('register, without a usable onnxruntime-node', () => {
  it('says where it looked', async () => {
    // A copy of blockrank outside of any project, so that nothing can be resolved.
    const copy = isolatedBlockrank();
    const result = await runScript(copy.script, { folder: copy.folder });
    copy.remove();
    expect(result).to.have.property('code', 'ORT_NOT_FOUND');
    expect(result)
      .to.have.property('message')
      .that.includes(copy.folder)
      .and.includes('npm install onnxruntime-node');
  });

  it('names the version that is too old, without loading it', async () => {
    const copy = isolatedBlockrank({ version: '1.19.2', main: 'throw new Error("loaded")' });
    const result = await runScript(copy.script, { folder: copy.folder });
    copy.remove();
    expect(result).to.have.property('code', 'ORT_UNSUPPORTED');
    expect(result).to.have.property('message').that.includes('1.19.2').and.includes('1.20');
  });

  it('reports one that does not load, with its reason', async () => {
    const copy = isolatedBlockrank({
      version: '1.29.0',
      main: 'throw new Error("no binding for this platform")',
    });
    const result = await runScript(copy.script, { folder: copy.folder });
    copy.remove();
    expect(result).to.have.property('code', 'ORT_UNSUPPORTED');
    expect(result).to.have.property('message').that.includes('no binding for this platform');
  });

  it('reports one that loads no ONNX Runtime', async () => {
    const copy = isolatedBlockrank({ version: '1.29.0', main: 'module.exports = {}' });
    const result = await runScript(copy.script, { folder: copy.folder });
    copy.remove();
    expect(result).to.have.property('code', 'HOOK_FAILED');
  });
});
