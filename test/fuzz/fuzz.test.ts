import { expect } from 'chai';
import { workspace } from '../graph-rewriter/helpers/workspace.js';
import { type Outcome, runCase } from './case.js';
import { loadCorpus } from './corpus.js';

/** More by `npm run fuzz`, which also opens what was written in ONNX Runtime. */
const CASES = 600;

describe('damaged models', () => {
  it(`end in a valid model or an error that a user can act on, in ${CASES} cases`, async () => {
    const folder = workspace();
    const seeds = await loadCorpus(folder);
    const outcomes: Outcome[] = [];
    for (let index = 0; index < CASES; index++) outcomes.push(await runCase(seeds, 78, index, folder));
    expect(outcomes.flatMap(({ defect }, index) => (defect ? [`case ${index}: ${defect}`] : []))).to.be.empty;
    const share = (result: string) => outcomes.filter((outcome) => outcome.result === result).length / CASES;
    // A fuzzer that damages nothing, or everything beyond recognition, tests nothing.
    for (const result of ['rewritten', 'densified', 'INVALID_MODEL'])
      expect(share(result), result).to.be.within(0.05, 0.8);
  });
});
