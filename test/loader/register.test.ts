import { copyFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { loadAddon } from '../../src/loader/addon.js';
import {
  register,
  registerCustomOpsLibrary,
  unregister,
  unregisterCustomOpsLibrary,
} from '../../src/loader/register.js';
import { doubleModel, fixture, temporaryFolder } from './helpers.js';

async function runDouble(): Promise<number[]> {
  const session = await ort.InferenceSession.create(doubleModel);
  const { Y } = await session.run({ X: new ort.Tensor('float32', [1, 2, 3], [3]) });
  await session.release();
  return [...(Y.data as Float32Array)];
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no failure',
    (error: Error) => error.message,
  );
}

const NOT_REGISTERED = /test\.blockrank:Double.*is not a registered function\/op|No Op registered for Double/;

describe('register', () => {
  const library = fixture('double');
  afterEach(() => {
    unregisterCustomOpsLibrary(library);
  });

  it('makes the operators known to sessions created afterwards', async () => {
    expect(await messageOf(runDouble())).to.match(NOT_REGISTERED);
    const info = register({ library });
    expect(info.library).to.equal(library);
    expect(info.runtimes.map((r) => r.version)).to.deep.equal([ort.env.versions.node]);
    expect(info.skipped).to.deep.equal([]);
    expect(await runDouble()).to.deep.equal([2, 4, 6]);
  });

  it('does nothing the second time', async () => {
    register({ library });
    register({ library });
    expect(loadAddon().runtimes()[0].libraries).to.deep.equal([library]);
    expect(await runDouble()).to.deep.equal([2, 4, 6]);
  });

  it('knows a library by its real path, so that a link to it is the same library', async () => {
    const folder = temporaryFolder();
    const link = join(folder, 'link.so');
    symlinkSync(library, link);
    register({ library });
    expect(register({ library: link }).library).to.equal(library);
    expect(await runDouble()).to.deep.equal([2, 4, 6]);
    rmSync(folder, { recursive: true });
  });

  it('can be called again after unregister', async () => {
    for (let round = 0; round < 3; ++round) {
      register({ library });
      expect(await runDouble()).to.deep.equal([2, 4, 6]);
      unregister();
      expect(await messageOf(runDouble())).to.match(NOT_REGISTERED);
    }
  });

  it('keeps memory flat over 200 sessions', async function () {
    // A sanitizer keeps freed memory for a while.
    if (process.env['LD_PRELOAD']?.includes('asan')) this.skip();
    register({ library });
    for (let i = 0; i < 50; ++i) await runDouble();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 200; ++i) await runDouble();
    // A leaked session is more than 100 KB; the allocator's own noise stays well under 16 MB.
    expect(process.memoryUsage().rss - before).to.be.below(16 * 1024 * 1024);
  });
});

describe('unregister', () => {
  const library = fixture('double');

  it("brings back onnxruntime-node's own error", async () => {
    register({ library });
    unregister();
    expect(await messageOf(runDouble())).to.match(NOT_REGISTERED);
    expect(loadAddon().runtimes()[0].libraries).to.deep.equal([]);
  });

  it('leaves sessions that exist as they are', async () => {
    register({ library });
    const session = await ort.InferenceSession.create(doubleModel);
    unregister();
    const { Y } = await session.run({ X: new ort.Tensor('float32', [1, 2, 3], [3]) });
    expect([...(Y.data as Float32Array)]).to.deep.equal([2, 4, 6]);
    await session.release();
  });

  it('does nothing where nothing is registered', () => {
    unregister();
    unregister();
    unregisterCustomOpsLibrary('/no/such/library.so');
  });

  it('takes only its own library away', () => {
    const folder = temporaryFolder();
    const other = join(folder, 'other.so');
    copyFileSync(fixture('empty'), other);
    registerCustomOpsLibrary(other);
    register({ library });
    unregister();
    expect(loadAddon().runtimes()[0].libraries).to.deep.equal([other]);
    unregisterCustomOpsLibrary(other);
    rmSync(folder, { recursive: true });
  });
});

describe('a session created while a library is registered', () => {
  it('has the operators even if the file is gone by then', async () => {
    const folder = temporaryFolder();
    const copy = join(folder, 'double.so');
    copyFileSync(fixture('double'), copy);
    registerCustomOpsLibrary(copy);
    rmSync(folder, { recursive: true });
    expect(await runDouble()).to.deep.equal([2, 4, 6]);
    unregisterCustomOpsLibrary(copy);
  });

  it('fails with the path and the reason where the library fails to add them', async () => {
    const library = fixture('fails_later');
    registerCustomOpsLibrary(library);
    expect(await messageOf(runDouble()))
      .to.include(library)
      .and.to.include('out of handles');
    unregisterCustomOpsLibrary(library);
  });
});
