import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import 'onnxruntime-node';
import { loadAddon } from '../../src/loader/addon.js';
import { registerCustomOpsLibrary, unregisterCustomOpsLibrary } from '../../src/loader/register.js';
import { expectProblem, fixture, temporaryFolder } from './helpers.js';

describe('registerCustomOpsLibrary', () => {
  let folder: string;
  before(() => {
    folder = temporaryFolder();
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  afterEach('nothing that failed stays registered', () => {
    for (const { libraries } of loadAddon().runtimes()) expect(libraries).to.deep.equal([]);
  });

  function file(name: string, bytes: Buffer | string): string {
    const path = join(folder, name);
    writeFileSync(path, bytes.toString('latin1'), 'latin1');
    return path;
  }

  function patched(offset: number, value: number): Buffer {
    const bytes = readFileSync(fixture('double'));
    bytes[offset] = value;
    return bytes;
  }

  it('refuses an empty path and what is no string', () => {
    expectProblem(() => registerCustomOpsLibrary(''), 'INVALID_ARGUMENT', 'got an empty string');
    expectProblem(
      () => registerCustomOpsLibrary(undefined as unknown as string),
      'INVALID_ARGUMENT',
      'got undefined',
    );
  });

  it('refuses a file that does not exist', () => {
    const path = join(folder, 'absent.so');
    expectProblem(() => registerCustomOpsLibrary(path), 'LIBRARY_NOT_FOUND', `There is no file ${path}`);
  });

  it('refuses a directory', () => {
    const path = join(folder, 'directory.so');
    mkdirSync(path);
    expectProblem(() => registerCustomOpsLibrary(path), 'LIBRARY_NOT_FOUND', `${path} is a directory`);
  });

  const notLibraries: [string, Buffer | string, string][] = [
    ['an empty file', '', 'an empty file'],
    ['a text file', 'GROUP ( libm.so.6 )\n', 'not a shared library'],
    ['a Windows DLL', 'MZ\x90\0', 'a Windows DLL'],
    ['a macOS library', '\xcf\xfa\xed\xfe\x07\0\0\x01', 'a macOS library'],
  ];
  for (const [title, bytes, text] of notLibraries) {
    it(`refuses ${title}`, () => {
      expectProblem(() => registerCustomOpsLibrary(file('not.so', bytes)), 'LIBRARY_INVALID', text);
    });
  }

  it('refuses an object file', () => {
    const path = file('object.so', patched(16, 1));
    expectProblem(() => registerCustomOpsLibrary(path), 'LIBRARY_INVALID', 'ELF file but not a shared one');
  });

  it('refuses a truncated library', () => {
    const path = file('truncated.so', readFileSync(fixture('double')).subarray(0, 100));
    expectProblem(() => registerCustomOpsLibrary(path), 'LIBRARY_INCOMPATIBLE', 'it cannot be loaded', 'ldd');
  });

  it('refuses a library for another architecture and names both', () => {
    const [other, machine] = process.arch === 'arm64' ? (['x64', 62] as const) : (['arm64', 183] as const);
    const path = file('other.so', patched(18, machine));
    expectProblem(
      () => registerCustomOpsLibrary(path),
      'LIBRARY_INCOMPATIBLE',
      `built for ${other} (64-bit)`,
      `this process is ${process.arch}`,
    );
  });

  it('refuses a library whose own dependency is missing and names the dependency', () => {
    const dependency = join(folder, 'libblockrank_absent.so');
    const source = file(
      'needs.cc',
      'extern "C" int Answer(); extern "C" int RegisterCustomOps() { return Answer(); }',
    );
    copyFileSync(fixture('no_entry'), dependency);
    const path = join(folder, 'needs.so');
    execFileSync('c++', ['-shared', '-fPIC', source, '-o', path, `-L${folder}`, '-lblockrank_absent']);
    rmSync(dependency);
    expectProblem(
      () => registerCustomOpsLibrary(path),
      'LIBRARY_INCOMPATIBLE',
      'libblockrank_absent.so',
      'ldd',
    );
  });

  const unsound: [string, string, 'LIBRARY_INVALID' | 'LIBRARY_INCOMPATIBLE', string | RegExp][] = [
    ['without RegisterCustomOps', 'no_entry', 'LIBRARY_INVALID', 'exports no function RegisterCustomOps'],
    ['with an undefined symbol', 'unresolved', 'LIBRARY_INCOMPATIBLE', 'blockrank_fixture_defined_nowhere'],
    [
      'built for a newer ONNX Runtime',
      'newer_api',
      'LIBRARY_INCOMPATIBLE',
      /it was built for ONNX Runtime 1\.99, but/,
    ],
    [
      'with an operator for a newer ONNX Runtime',
      'newer_op',
      'LIBRARY_INCOMPATIBLE',
      /its operator Double was built for .*1\.99/,
    ],
    ['that reports a failure', 'refuses', 'LIBRARY_INCOMPATIBLE', 'the licence file is missing'],
    ['that throws', 'throws', 'LIBRARY_INCOMPATIBLE', 'no such table'],
  ];
  for (const [title, name, code, text] of unsound) {
    it(`refuses a library ${title}, every time`, () => {
      for (let i = 0; i < 2; ++i) expectProblem(() => registerCustomOpsLibrary(fixture(name)), code, text);
    });
  }

  it('refuses a second library for the same operators, and keeps the first', () => {
    const second = join(folder, 'second.so');
    copyFileSync(fixture('double'), second);
    registerCustomOpsLibrary(fixture('double'));
    expectProblem(
      () => registerCustomOpsLibrary(second),
      'LIBRARY_INCOMPATIBLE',
      'no session can be created with it',
      'npm dedupe',
    );
    expect(loadAddon().runtimes()[0].libraries).to.deep.equal([fixture('double')]);
    unregisterCustomOpsLibrary(fixture('double'));
  });
});
