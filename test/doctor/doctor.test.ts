import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { doctor, type Check } from '../../src/doctor.js';
import { loadAddon } from '../../src/loader/addon.js';
import { LIBRARY_VARIABLE } from '../../src/loader/locate.js';
import { register, unregister } from '../../src/loader/register.js';
import { fixture, ROOT } from '../loader/helpers.js';

describe('doctor', () => {
  const named = process.env[LIBRARY_VARIABLE];
  afterEach(() => {
    if (named === undefined) delete process.env[LIBRARY_VARIABLE];
    else process.env[LIBRARY_VARIABLE] = named;
  });

  it('finds onnxruntime-node, the addon and the processor', async () => {
    const report = await doctor();
    expect(report.node.version).to.equal(process.versions.node);
    expect(report.onnxruntime.status).to.equal('ok');
    expect(report.onnxruntime.version).to.match(/^1\./);
    expect(report.addon.status).to.equal('ok');
    expect(report.runtimes.map((r) => r.version)).to.deep.equal([report.onnxruntime.version]);
    expect(report.cpu.threads).to.be.at.least(1);
    expect(report.cpu.features).to.not.be.empty;
  });

  it('runs the operators where libblockrank.so is built', async function () {
    if (!existsSync(join(ROOT, 'build', 'Release', 'libblockrank.so'))) {
      // eslint-disable-next-line no-console
      console.log('    skipped: build/Release/libblockrank.so is not built');
      this.skip();
    }
    const report = await doctor();
    expect(report.library.build?.isa).to.be.a('string');
    expect(report.hook.status).to.equal('ok');
    expect(report.operators).to.deep.include({ status: 'ok' });
  });

  it('says that the operators are missing from a library that has none of them', async () => {
    process.env[LIBRARY_VARIABLE] = fixture('double');
    const report = await doctor();
    expect(report.library.reason).to.include(LIBRARY_VARIABLE);
    expect(report.library.build).to.deep.equal({ version: '0.0.0', isa: 'test', features: [] });
    expect(report.hook.status).to.equal('ok');
    expect(report.operators.status).to.equal('unavailable');
    expect(report.operators.reason).to.match(/LowRankMatMul/);
  });

  it('reports a library that cannot be registered, with the reason', async () => {
    process.env[LIBRARY_VARIABLE] = fixture('newer_api');
    const { hook } = await doctor();
    expect(hook.status).to.equal('unavailable');
    expect(hook.reason).to.include('1.99');
  });

  it('reports a library that does not exist', async () => {
    process.env[LIBRARY_VARIABLE] = '/no/such/libblockrank.so';
    const { library, hook } = await doctor();
    expect(library.status).to.equal('unavailable');
    expect(library.reason).to.include('/no/such/libblockrank.so');
    expect(hook.reason).to.equal('not tried without libblockrank.so');
  });

  it('leaves the registrations as they were', async () => {
    process.env[LIBRARY_VARIABLE] = fixture('double');
    await doctor();
    expect(loadAddon().runtimes()[0].libraries).to.deep.equal([]);
    register();
    await doctor();
    expect(loadAddon().runtimes()[0].libraries).to.deep.equal([fixture('double')]);
    unregister();
  });

  it('answers each question about CUDA, with what to do where the answer is no', async () => {
    const { cuda } = await doctor();
    expect(Object.keys(cuda)).to.deep.equal(['driver', 'provider', 'runtime', 'kernels', 'device']);
    const checks: Check[] = [cuda.driver, cuda.provider, cuda.runtime, cuda.kernels, cuda.device];
    for (const check of checks) expect(check.reason).to.not.equal('');
    for (const check of [cuda.driver, cuda.provider, cuda.kernels]) {
      if (check.status === 'unavailable') expect(check.fix).to.be.a('string');
    }
    const known = [cuda.driver, cuda.provider, cuda.runtime, cuda.kernels].every(
      (check) => check.status === 'ok',
    );
    if (!known) expect(cuda.device.reason).to.match(/^not tried without/);
  });
});
