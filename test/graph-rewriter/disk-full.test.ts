// A limit on the size of files stands in for a disk that fills up while a model is written.
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { saveExternal } from './helpers/external-data.js';
import { encodeModel, node, tensor, valueInfo } from './helpers/onnx.js';
import { random } from './helpers/reference.js';
import { rewriteAny, save, sha256, workspace } from './helpers/workspace.js';

const INDEX = new URL('../../src/index.js', import.meta.url).href;
const SIZE = 256;
const WEIGHT = 4 * SIZE * SIZE;
const NAMES = ['w0', 'w1', 'w2', 'w3'];

/** A megabyte: one weight is factorized, three are copied. */
function model(): Uint8Array {
  return encodeModel({
    inputs: [valueInfo('x', ['n', SIZE])],
    outputs: [valueInfo('y', ['n', SIZE])],
    nodes: NAMES.map((w, i) =>
      node('MatMul', [i === 0 ? 'x' : `v${i}`, w], [i === 3 ? 'y' : `v${i + 1}`], {}, { name: `fc${i}` }),
    ),
    initializers: NAMES.map((name, i) => tensor(name, [SIZE, SIZE], random(SIZE * SIZE, i))),
  });
}

const FORMS = {
  'one file': () => save(model()),
  'external data': () => saveExternal(model(), (name) => ({ location: `${name}.bin`, length: WEIGHT })),
};

const REWRITE = `rewrite(source, target, { structure: 'low-rank', rank: 32, minSize: 1, include: ['fc0'], keepDenseIfSlower: false })`;

/** Runs the action in a process whose files may have that many bytes; answers its error, or null. */
function limited(action: string, source: string, target: string, bytes: number) {
  const script = `
    const { rewrite, densifyModel, BlockrankError } = await import(${JSON.stringify(INDEX)});
    const [source, target] = ${JSON.stringify([source, target])};
    const error = await ${action}.then(() => null, (e) => e);
    console.log(JSON.stringify(error && { isOurs: error instanceof BlockrankError, code: error.code, message: error.message }));`;
  // The unit of ulimit is 512 bytes in a POSIX shell.
  const shell = ['-c', `ulimit -f ${Math.ceil(bytes / 512)} && exec "$0" "$@"`];
  const node = [process.execPath, '--input-type=module', '--eval', script];
  const { status, signal, stdout, stderr } = spawnSync('/bin/sh', [...shell, ...node], { encoding: 'utf8' });
  // The signal that comes with the limit, SIGXFSZ, does not end Node.
  expect({ status, signal }, stderr).to.deep.equal({ status: 0, signal: null });
  return JSON.parse(stdout) as { isOurs: boolean; code: string; message: string } | null;
}

function expectFull(action: string, source: string, bytes: number): void {
  const folder = join(workspace(), 'out');
  mkdirSync(folder);
  const hashes = () => readdirSync(dirname(source)).map((f) => [f, sha256(join(dirname(source), f))]);
  const before = hashes();
  const error = limited(action, source, join(folder, 'o.onnx'), bytes);
  expect(error).to.include({ isOurs: true, code: 'IO' });
  expect(error!.message).to.match(/cannot be written: .* does not take files of this size\. Raise the limit/);
  expect(readdirSync(folder)).to.deep.equal([]);
  expect(hashes()).to.deep.equal(before);
}

describe('a disk that fills up', function () {
  this.timeout(60_000);

  // Of one file, the factors' temporary file and then the model are too large; of the other, the copied weights.
  const limits = { 'one file': [4096, 3 * WEIGHT], 'external data': [3 * WEIGHT] };
  for (const [form, make] of Object.entries(FORMS)) {
    for (const bytes of limits[form as keyof typeof FORMS])
      it(`stops rewrite, which leaves nothing: ${form}, ${bytes} bytes`, () => {
        expectFull(REWRITE, make(), bytes);
      });

    it(`stops densify, which leaves nothing: ${form}`, async () => {
      const rewritten = join(workspace(), 'r.onnx');
      await rewriteAny(make(), rewritten, { minSize: 1 });
      expectFull('densifyModel(source, target)', rewritten, 1.5 * WEIGHT);
    });
  }

  it('does not stop a rewrite that fits', () => {
    const target = join(workspace(), 'o.onnx');
    expect(limited(REWRITE, FORMS['one file'](), target, 4.5 * WEIGHT)).to.equal(null);
    expect(readdirSync(dirname(target))).to.deep.equal(['o.onnx']);
  });
});
