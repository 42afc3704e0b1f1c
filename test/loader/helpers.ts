/** What the loader's tests share: test libraries compiled on demand, models, scripts in processes of their own. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { BlockrankError, type ErrorCode } from '../../graph-rewriter/errors.js';
import { FLOAT, tinyModel } from '../../src/doctor/tiny-model.js';
import { packageRoot } from '../../src/loader/locate.js';

export const ROOT = packageRoot();
export const DIST = join(ROOT, 'dist');
const SOURCES = join(ROOT, 'test', 'loader', 'fixtures');

/** Path of the library made from fixtures/<name>.cc. */
export function fixture(name: string): string {
  const folder = join(ROOT, 'build', 'fixtures');
  const source = join(SOURCES, `${name}.cc`);
  const library = join(folder, `lib${name}.so`);
  const sources = [source, join(SOURCES, 'test_op.h'), join(ROOT, 'src', 'native', 'ort_abi.h')];
  if (!existsSync(library) || sources.some((s) => statSync(s).mtimeMs > statSync(library).mtimeMs)) {
    mkdirSync(folder, { recursive: true });
    const flags = ['-shared', '-fPIC', '-std=c++17', '-fvisibility=hidden', '-Wall', '-Wextra', '-Werror'];
    execFileSync(process.env['CXX'] ?? 'c++', [...flags, source, '-o', library]);
  }
  return library;
}

/** Y = Double(X), X float[3]: runs only where the library `fixture('double')` is registered. */
export const doubleModel = tinyModel({
  domain: 'test.blockrank',
  op: 'Double',
  elementType: FLOAT,
  shape: [3],
});

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'blockrank-loader-'));
}

/** Runs `action` and checks the code and the text of the BlockrankError that it throws. */
export function expectProblem(action: () => unknown, code: ErrorCode, ...texts: (string | RegExp)[]): void {
  let caught: unknown;
  try {
    action();
  } catch (error) {
    caught = error;
  }
  expect(caught, 'nothing was thrown').to.be.instanceOf(BlockrankError);
  const problem = caught as BlockrankError;
  expect(problem.code).to.equal(code);
  for (const text of texts) expect(problem.message).to.match(typeof text === 'string' ? literal(text) : text);
}

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
}

/**
 * Runs a script in a process of its own and gives what it printed, as JSON.
 * `folder`, where the script lies, decides which onnxruntime-node it finds.
 */
export async function runScript(
  code: string,
  { extension = 'mjs', folder = ROOT, env = {} }: { extension?: string; folder?: string; env?: object } = {},
): Promise<unknown> {
  const script = join(
    folder,
    `.loader-test-${process.pid}-${Math.random().toString(36).slice(2)}.${extension}`,
  );
  writeFileSync(script, code);
  try {
    return await new Promise((resolve, reject) => {
      execFile(
        process.execPath,
        [script],
        { cwd: folder, env: { ...process.env, ...env } },
        (error, out, err) => {
          if (error) reject(new Error(`${error.signal ?? `exit code ${error.code}`}\n${out}\n${err}`));
          else resolve(JSON.parse(out));
        },
      );
    });
  } finally {
    rmSync(script);
  }
}

/** Source of `const` definitions that scripts start from: paths, the model, and a function that runs it. */
export const PRELUDE = `
const REGISTER = ${JSON.stringify(join(DIST, 'src', 'loader', 'register.js'))};
const LIBRARY = ${JSON.stringify(join(ROOT, 'build', 'fixtures', 'libdouble.so'))};
const MODEL = Buffer.from(${JSON.stringify(Buffer.from(doubleModel).toString('base64'))}, 'base64');
async function runDouble(ort) {
  const session = await ort.InferenceSession.create(MODEL);
  const { Y } = await session.run({ X: new ort.Tensor('float32', [1, 2, 3], [3]) });
  await session.release();
  return [...Y.data];
}
const failure = (promise) => promise.then(() => 'no failure', (error) => error.message);
`;
