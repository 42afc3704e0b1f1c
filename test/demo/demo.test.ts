import { expect } from 'chai';
import { runDemo } from '../../src/demo/demo.js';

describe('runDemo', () => {
  it('makes the model smaller and reads every test picture as before', async function () {
    this.timeout(180_000);
    const steps = new Set<string>();
    const report = await runDemo({
      structure: 'low-rank',
      runs: 1,
      onProgress: ({ step }) => steps.add(step.split(' ')[0]),
    });
    expect(report.lines).to.have.length(4);
    for (const { written, original, rewritten, comparison } of report.lines) {
      expect(original).to.equal(written);
      expect(rewritten).to.equal(written);
      expect(comparison.elements).to.be.above(100_000);
      expect(comparison.statistics!.absolute.max).to.be.within(1e-9, 1);
    }
    expect(report.rewrite.layers.filter(({ result }) => result)).to.have.length(13);
    expect(report.rewrite.bytesAfter).to.be.below(0.95 * report.rewrite.bytesBefore);
    expect(report.timing.runs).to.equal(1);
    expect([...steps]).to.deep.equal(['reading', 'calibrating', 'factorizing', 'timing']);
  });
});
