/** How libblockrank.so finds its CUDA kernels; each case in a process of its own, since it looks once. No GPU needed. */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { BuildInfo } from '../../src/doctor/cpu.js';
import { locateLibrary } from '../../src/loader/locate.js';
import { DIST, fixture, runScript, temporaryFolder } from '../loader/helpers.js';
import { expectLayer } from '../ops/helpers/layer.js';
import { usePlugin } from '../ops/helpers/plugin.js';

type Found = NonNullable<BuildInfo['cuda']>;

describe('libblockrank.so', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** What it says of its CUDA kernels, and whether a CPU session with its operators works all the same. */
  async function ask(library: string, kernels?: string): Promise<{ cuda: Found; operators: string }> {
    const script = `
      const { loadAddon } = await import(${JSON.stringify(join(DIST, 'src', 'loader', 'addon.js'))});
      const { doctor } = await import(${JSON.stringify(join(DIST, 'src', 'doctor.js'))});
      const { operators, library } = await doctor();
      console.log(JSON.stringify({ cuda: library.build.cuda, operators: operators.status }));`;
    const env = { BLOCKRANK_LIBRARY: library, ...(kernels ? { BLOCKRANK_CUDA_LIBRARY: kernels } : {}) };
    return (await runScript(script, { env })) as { cuda: Found; operators: string };
  }

  function copyOfLibrary(): string {
    const copy = join(folder, 'libblockrank.so');
    copyFileSync(locateLibrary(), copy);
    return copy;
  }

  it('runs on the CPU where there are no CUDA kernels beside it, and says so', async () => {
    const { cuda, operators } = await ask(copyOfLibrary());
    expect(cuda).to.deep.equal({
      available: false,
      reason: `there is no ${join(folder, 'libblockrank_cuda.so')}`,
    });
    expect(operators).to.equal('ok');
  });

  it('finds them beside itself', async () => {
    const library = copyOfLibrary();
    copyFileSync(fixture('other_cuda_abi'), join(folder, 'libblockrank_cuda.so'));
    const { cuda } = await ask(library);
    expect(cuda.reason).to.include(join(folder, 'libblockrank_cuda.so'));
  });

  it('refuses kernels of another version, naming both', async () => {
    const { cuda, operators } = await ask(locateLibrary(), fixture('other_cuda_abi'));
    expect(cuda.available).to.equal(false);
    expect(cuda.reason)
      .to.include(fixture('other_cuda_abi'))
      .and.to.match(/expected version \d+ .* version 99;/);
    expect(operators).to.equal('ok');
  });

  it('refuses what BLOCKRANK_CUDA_LIBRARY names by mistake', async () => {
    const foreign = await ask(locateLibrary(), fixture('double'));
    expect(foreign.cuda.reason).to.include('it is not blockrank').and.to.include(fixture('double'));
    mkdirSync(join(folder, 'a "quoted" folder'));
    const absent = await ask(locateLibrary(), join(folder, 'a "quoted" folder', 'none.so'));
    expect(absent.cuda.reason).to.equal(`there is no ${join(folder, 'a "quoted" folder', 'none.so')}`);
    const text = await ask(locateLibrary(), join(DIST, 'src', 'doctor.js'));
    expect(text.cuda.reason).to.match(/^it does not load: .*doctor\.js/);
  });

  it("loads the package's own kernels where they are built", async function () {
    const kernels = locateLibrary().replace('libblockrank.so', 'libblockrank_cuda.so');
    if (!existsSync(kernels)) {
      // eslint-disable-next-line no-console
      console.log('    skipped: the CUDA kernels are not built');
      this.skip();
    }
    const { cuda } = await ask(locateLibrary());
    expect(cuda).to.deep.equal({ available: true, library: kernels });
  });

  describe('in a CPU session', () => {
    usePlugin();
    it('runs its CPU operators whether or not there are CUDA ones', () =>
      expectLayer({
        structure: 'BlastMatMul',
        sizes: { in: 45, out: 52, blocksIn: 4, blocksOut: 3, rank: 19 },
        leading: [3],
      }));
  });
});
