import { expect } from 'chai';
import { Writable } from 'node:stream';
import { showProgress } from '../../src/cli/progress.js';

const recorder = (properties: object) => {
  const written: string[] = [];
  const stream = new Writable({
    write: (chunk: Uint8Array, _, done) => {
      written.push(new TextDecoder().decode(chunk));
      done();
    },
  });
  return { stream: Object.assign(stream, properties) as unknown as NodeJS.WriteStream, written };
};

describe('showProgress', () => {
  it('writes a line a step, not a line a call, where there is no terminal', () => {
    const { stream, written } = recorder({ isTTY: false });
    const { onProgress, stop } = showProgress(stream);
    for (let done = 0; done < 100; done++) onProgress({ step: 'factorizing', done, total: 100 });
    onProgress({ step: 'calibrating', done: 3, total: null });
    stop();
    expect(written).to.deep.equal(['factorizing (0 of 100)\n', 'calibrating (3)\n']);
  });

  it('draws a bar on a terminal and clears it', () => {
    const cursor = { cursorTo: () => true, clearLine: () => true, moveCursor: () => true, columns: 80 };
    const { stream, written } = recorder({ isTTY: true, ...cursor });
    const { onProgress, stop } = showProgress(stream);
    onProgress({ step: 'timing', done: 1, total: 2 });
    stop();
    expect(written.join('')).to.contain('50% timing');
  });
});
