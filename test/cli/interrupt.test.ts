import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { seededRandom } from '../../src/inputs/random.js';
import { matMulModel, scratch } from '../validation/helpers/tiny-model.js';
import { MAIN } from './helpers.js';

describe('blockrank on Ctrl-C', () => {
  it('stops with exit code 130 and one sentence, and leaves no file behind', async () => {
    const files = await scratch();
    const random = seededRandom(1);
    const model = await files.write(
      'model.onnx',
      matMulModel(256, 256, () => random()),
    );
    // More sweeps than anyone would wait for: only the signal ends it.
    const args = [
      MAIN,
      'rewrite',
      '--no-keep-dense-if-slower',
      model,
      '-o',
      join(files.folder, 'out.onnx'),
      '--iterations',
      '1000000',
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk: Uint8Array) => {
      const before = stderr;
      stderr += new TextDecoder().decode(chunk);
      if (stderr.includes('factorizing') && !before.includes('factorizing')) child.kill('SIGINT');
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).to.equal(130);
    expect(stderr.trim().split('\n').at(-1)).to.match(/^blockrank: .*aborted/);
    expect(await readdir(files.folder)).to.deep.equal(['model.onnx']);
    await files.remove();
  });
});
