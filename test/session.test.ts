import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { BlockrankError } from '../graph-rewriter/errors.js';
import { LIBRARY_VARIABLE } from '../src/loader/locate.js';
import { unregister } from '../src/loader/register.js';
import { createSession } from '../src/session.js';
import { doubleModel, fixture } from './loader/helpers.js';

async function problemOf(promise: Promise<unknown>): Promise<BlockrankError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, 'nothing was thrown').to.be.instanceOf(BlockrankError);
  return error as BlockrankError;
}

describe('createSession', () => {
  const named = process.env[LIBRARY_VARIABLE];
  before(() => {
    process.env[LIBRARY_VARIABLE] = fixture('double');
  });
  after(() => {
    unregister();
    if (named === undefined) delete process.env[LIBRARY_VARIABLE];
    else process.env[LIBRARY_VARIABLE] = named;
  });

  it('registers the operators and runs on the CPU where that was asked for', async () => {
    const { session, provider, fallback } = await createSession(doubleModel, { device: 'cpu' });
    expect(provider).to.equal('cpu');
    expect(fallback).to.equal(undefined);
    const { Y } = await session.run({ X: new ort.Tensor('float32', [1, 2, 3], [3]) });
    expect([...(Y.data as Float32Array)]).to.deep.equal([2, 4, 6]);
    await session.release();
  });

  it('says which provider it uses, and for auto why it is not CUDA', async () => {
    const { session, provider, fallback } = await createSession(doubleModel);
    if (provider === 'cuda') expect(fallback).to.equal(undefined);
    else expect(fallback).to.match(/CUDA|cuda/);
    await session.release();
  });

  it('never falls back from cuda in silence', async function () {
    const { session, provider } = await createSession(doubleModel);
    await session.release();
    if (provider === 'cuda') this.skip();
    const problem = await problemOf(createSession(doubleModel, { device: 'cuda' }));
    expect(problem.code).to.equal('SESSION');
    expect(problem.message).to.include('CUDA was asked for').and.to.include('doctor');
  });

  it('takes the execution providers of the caller', async () => {
    const options = { executionProviders: [{ name: 'cpu' as const, useArena: false }] };
    const { session, provider } = await createSession(doubleModel, options);
    expect(provider).to.equal('cpu');
    await session.release();
  });

  it('refuses a device beside execution providers', async () => {
    const problem = await problemOf(
      createSession(doubleModel, { device: 'cpu', executionProviders: ['cpu'] }),
    );
    expect(problem.code).to.equal('INVALID_ARGUMENT');
  });

  it('names the model that cannot be loaded, with the reason', async () => {
    const absent = await problemOf(createSession('/no/such/model.onnx', { device: 'cpu' }));
    expect(absent.code).to.equal('SESSION');
    expect(absent.message).to.include('/no/such/model.onnx');
    const broken = await problemOf(createSession(new Uint8Array([1, 2, 3]), { device: 'cpu' }));
    expect(broken.message).to.include('a model of 3 bytes');
  });
});
