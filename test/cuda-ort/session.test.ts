/** `createSession` where there is a GPU. */
import { writeFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { createSession } from '../../src/session.js';
import { DIST, runScript, temporaryFolder } from '../loader/helpers.js';
import { buildLayer } from '../ops/helpers/layer.js';
import { useGpu } from './gpu.js';

const { model } = buildLayer({
  structure: 'BlastMatMul',
  sizes: { in: 96, out: 112, blocksIn: 4, blocksOut: 2, rank: 24 },
  leading: [3],
});

describe('createSession with a GPU', () => {
  useGpu();

  for (const [device, wanted] of [
    ['auto', 'cuda'],
    ['cuda', 'cuda'],
    ['cpu', 'cpu'],
  ] as const) {
    it(`chooses ${wanted} for ${device}`, async () => {
      const { session, provider, fallback } = await createSession(model, { device });
      expect(provider).to.equal(wanted);
      expect(fallback).to.equal(undefined);
      await session.release();
    });
  }

  it('says that the kernels are missing, rather than run the operators on the CPU in a CUDA session', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model.onnx');
    writeFileSync(path, model);
    const script = `
      const { createSession } = await import(${JSON.stringify(join(DIST, 'src', 'session.js'))});
      const path = ${JSON.stringify(path)};
      const cuda = await createSession(path, { device: 'cuda' }).then(() => '', (error) => error.message);
      const { provider, fallback } = await createSession(path);
      console.log(JSON.stringify({ cuda, provider, fallback }));`;
    const said = await runScript(script, { env: { BLOCKRANK_CUDA_LIBRARY: '/absent.so' } });
    rmSync(folder, { recursive: true });
    const fallback = 'CUDA kernels: there is no /absent.so';
    expect(said).to.deep.include({ provider: 'cpu', fallback });
    expect((said as { cuda: string }).cuda).to.include(`cannot be used. ${fallback}.`);
  });
});
