/** What can be tested of CUDA where there is none: the questions are asked of stand-ins. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { detectCuda } from '../../src/doctor/cuda.js';
import { loadAddon } from '../../src/loader/addon.js';
import { DIST, fixture, runScript, temporaryFolder } from '../loader/helpers.js';

describe('detectCuda', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  function addProvider(): void {
    copyFileSync(fixture('no_entry'), join(folder, 'libonnxruntime_providers_shared.so'));
    // A provider that is linked to a CUDA library which is not installed.
    copyFileSync(fixture('no_entry'), join(folder, 'libcublas_absent.so'));
    const library = join(folder, 'libonnxruntime_providers_cuda.so');
    const link = ['-Wl,--no-as-needed', `-L${folder}`, '-lcublas_absent'];
    execFileSync('c++', ['-shared', '-fPIC', '-x', 'c++', '/dev/null', '-o', library, ...link]);
    rmSync(join(folder, 'libcublas_absent.so'));
  }

  it('names the provider files that are missing, and how to get them', () => {
    const { provider, runtime } = detectCuda(loadAddon(), folder, undefined);
    expect(provider.status).to.equal('unavailable');
    expect(provider.reason).to.include('libonnxruntime_providers_cuda.so').and.to.include(folder);
    expect(provider.fix).to.include('ONNXRUNTIME_NODE_INSTALL=cuda12');
    expect(runtime.reason).to.match(/^not known without the provider/);
  });

  it('names the CUDA libraries that the provider needs and that are missing', () => {
    addProvider();
    const { provider, runtime } = detectCuda(loadAddon(), folder, undefined);
    expect(provider.status).to.equal('ok');
    expect(runtime.status).to.equal('unavailable');
    expect(runtime.reason).to.equal('not found: libcublas_absent.so');
  });

  const drivers: [string, string, 'ok' | 'unavailable', RegExp][] = [
    ['with a device', 'gpu', 'ok', /^CUDA 13\.1, Fake GPU$/],
    ['without a device', 'no-device', 'unavailable', /sees no device/],
    ['that does not start', 'fails', 'unavailable', /^cuInit failed: CUDA_ERROR_NO_DEVICE$/],
  ];
  for (const [title, pretend, status, reason] of drivers) {
    it(`asks a driver ${title}`, async () => {
      copyFileSync(fixture('fake_cuda'), join(folder, 'libcuda.so.1'));
      const script = `
        const { detectCuda } = await import(${JSON.stringify(join(DIST, 'src', 'doctor', 'cuda.js'))});
        const { loadAddon } = await import(${JSON.stringify(join(DIST, 'src', 'loader', 'addon.js'))});
        console.log(JSON.stringify(detectCuda(loadAddon(), '/', undefined).driver));`;
      const env = { LD_LIBRARY_PATH: folder, FAKE_CUDA: pretend };
      const driver = (await runScript(script, { env })) as { status: string; reason: string };
      expect(driver.status).to.equal(status);
      expect(driver.reason).to.match(reason);
    });
  }
});
