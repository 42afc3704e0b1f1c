/** Several copies of ONNX Runtime, of blockrank and of other people's hooks in one process. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { fixture, PRELUDE, ROOT, runScript, temporaryFolder } from './helpers.js';

const installed = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));

/** Copies onnxruntime-node with its onnxruntime-common, for this platform, into `folder`/node_modules. */
function copyOnnxRuntime(folder: string): string {
  const target = join(folder, 'node_modules', 'onnxruntime-node');
  cpSync(join(installed, 'package.json'), join(target, 'package.json'));
  cpSync(join(installed, 'dist'), join(target, 'dist'), { recursive: true });
  const napi = readdirSync(join(installed, 'bin'))[0];
  const platform = join('bin', napi, process.platform, process.arch);
  cpSync(join(installed, platform), join(target, platform), { recursive: true });
  const common = join(installed, '..', 'onnxruntime-common');
  cpSync(common, join(folder, 'node_modules', 'onnxruntime-common'), { recursive: true, dereference: true });
  return join(target, platform);
}

/** Gives the copy's libonnxruntime a name of its own; else Linux maps the first one for both copies. */
function renameRuntime(folder: string): void {
  const names = ['libonnxruntime.so.1', 'libonnxruntime.so.2'];
  for (const file of [names[0], 'onnxruntime_binding.node']) {
    const bytes = readFileSync(join(folder, file));
    for (let at = bytes.indexOf(`${names[0]}\0`); at >= 0; at = bytes.indexOf(`${names[0]}\0`, at + 1)) {
      bytes.write(names[1], at, 'latin1');
    }
    writeFileSync(join(folder, file), new Uint8Array(bytes));
  }
  renameSync(join(folder, names[0]), join(folder, names[1]));
}

describe('register, with two copies of onnxruntime-node in one process', () => {
  let folder: string;
  let binaries: string;
  before(() => {
    fixture('double');
    folder = temporaryFolder();
    binaries = copyOnnxRuntime(folder);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  const script = () => `${PRELUDE}
    const { createRequire } = await import('node:module');
    const { register, unregister } = await import(REGISTER);
    const copies = [await import('onnxruntime-node'), createRequire(${JSON.stringify(join(folder, 'x.js'))})('onnxruntime-node')];
    const info = register({ library: LIBRARY });
    const registered = [await runDouble(copies[0]), await runDouble(copies[1])];
    unregister();
    const after = [await failure(runDouble(copies[0])), await failure(runDouble(copies[1]))];
    console.log(JSON.stringify({ runtimes: info.runtimes.length, registered, after: after.map((m) => /Double/.test(m)) }));`;

  it('hooks the one ONNX Runtime that Linux loads for both', async () => {
    const expected = { runtimes: 1, registered: [[2, 4, 6], [2, 4, 6]], after: [true, true] }; // prettier-ignore
    expect(await runScript(script())).to.deep.equal(expected);
  });

  it('hooks each where each has a library of its own', async () => {
    renameRuntime(binaries);
    const expected = { runtimes: 2, registered: [[2, 4, 6], [2, 4, 6]], after: [true, true] }; // prettier-ignore
    expect(await runScript(script())).to.deep.equal(expected);
  });
});

describe('two copies of blockrank in one process', () => {
  it('undo their hooks in any order, and cannot both register the same operators', async () => {
    const folder = temporaryFolder();
    const copy = join(folder, 'blockrank');
    for (const part of [
      'dist/src/loader',
      'dist/graph-rewriter',
      'build/Release/blockrank.node',
      'package.json',
    ]) {
      cpSync(join(ROOT, part), join(copy, part), { recursive: true });
    }
    mkdirSync(join(folder, 'fixtures'));
    cpSync(fixture('empty'), join(folder, 'fixtures', 'empty.so'));
    const result = await runScript(`${PRELUDE}
      const ort = await import('onnxruntime-node');
      const a = await import(REGISTER);
      const b = await import(${JSON.stringify(join(copy, 'dist', 'src', 'loader', 'register.js'))});
      const empty = ${JSON.stringify(join(folder, 'fixtures', 'empty.so'))};
      const state = async () => (await failure(runDouble(ort))) === 'no failure';
      const states = [];
      for (const first of ['a', 'b']) {
        a.register({ library: LIBRARY });
        b.register({ library: empty });
        states.push(await state());
        (first === 'a' ? a : b).unregister();
        states.push(await state());
        (first === 'a' ? b : a).unregister();
        states.push(await state());
      }
      a.register({ library: LIBRARY });
      let second;
      try { b.register({ library: LIBRARY }); } catch (error) { second = error; }
      console.log(JSON.stringify({ states, second: second?.code, text: second?.message, still: await state() }));`);
    rmSync(folder, { recursive: true });
    expect(result).to.deep.include({ states: [true, false, false, true, true, false], still: true });
    // Two libraries with the same operators cannot be in one session, wherever they were registered.
    expect(result).to.have.property('second', 'LIBRARY_INCOMPATIBLE');
    expect(result).to.have.property('text').that.includes('npm dedupe');
  });
});
