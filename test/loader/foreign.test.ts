/** A third party's library: onnxruntime-extensions, as npm ships it for Unity. Downloaded once into .cache. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { STRING, tinyModel } from '../../src/doctor/tiny-model.js';
import { registerCustomOpsLibrary, unregisterCustomOpsLibrary } from '../../src/loader/register.js';
import { ROOT } from './helpers.js';

const PACKAGE = 'com.github.asus4.onnxruntime-extensions';
const VERSION = '0.4.9';

/** Path of libortextensions.so; throws where npm cannot give it. */
function extensionsLibrary(): string {
  const folder = join(ROOT, '.cache', `${PACKAGE}-${VERSION}`);
  if (!existsSync(folder)) {
    const partial = `${folder}.${process.pid}`;
    mkdirSync(partial, { recursive: true });
    execFileSync('npm', ['pack', '--silent', `${PACKAGE}@${VERSION}`], { cwd: partial, stdio: 'pipe' });
    const linux = 'package/Plugins/Linux';
    execFileSync('tar', ['xzf', `${PACKAGE}-${VERSION}.tgz`, linux], { cwd: partial });
    renameSync(join(partial, linux), folder);
    rmSync(partial, { recursive: true });
  }
  return join(folder, process.arch, 'libortextensions.so');
}

const model = tinyModel({ domain: 'ai.onnx.contrib', op: 'StringUpper', elementType: STRING, shape: [2] });

describe("registerCustomOpsLibrary, with onnxruntime-extensions' library", () => {
  let library: string;
  before(function () {
    this.timeout(120_000);
    try {
      library = extensionsLibrary();
    } catch (error) {
      // eslint-disable-next-line no-console
      console.log(`    skipped: ${PACKAGE} cannot be installed: ${(error as Error).message.split('\n')[0]}`);
      this.skip();
    }
  });

  it('runs StringUpper in onnxruntime-node', async () => {
    registerCustomOpsLibrary(library);
    const session = await ort.InferenceSession.create(model);
    const { Y } = await session.run({ X: new ort.Tensor('string', ['block', 'Rank'], [2]) });
    expect([...(Y.data as string[])]).to.deep.equal(['BLOCK', 'RANK']);
    await session.release();
    unregisterCustomOpsLibrary(library);
  });
});
