import { expect } from 'chai';
import { whyNotSanitized } from '../loader/sanitizer.js';
import { randomFor } from '../fuzz/random.js';
import { poison, randomTensor } from './tensors.js';
import { randomCase } from './cases.js';
import { fuzzSessions } from './fuzz.js';
import { judge } from './judge.js';
import { expectedOf } from './reference.js';

/** More by `npm run fuzz:native`. */
const CASES = 300;
const SANITIZED = 150;

describe('random nodes through session creation', function () {
  this.timeout(120_000);

  it(`give the right numbers or an error, in ${CASES} cases`, async () => {
    const { cases, results, defects } = await fuzzSessions({ seed: 11, first: 0, end: CASES });
    expect(defects).to.deep.equal([]);
    expect(cases).to.equal(CASES);
    // A fuzzer whose nodes are all right, or all wrong, tests nothing.
    expect(results['compared']).to.be.within(0.4 * CASES, 0.8 * CASES);
    expect(results['refused at creation']).to.be.greaterThan(0.2 * CASES);
  });

  it(`leave nothing for the address sanitizer to report, in ${SANITIZED} cases`, async function () {
    const reason = whyNotSanitized('address');
    if (reason !== undefined) {
      this.test!.title += ` (not run: ${reason})`;
      this.skip();
    }
    const job = { seed: 12, first: 0, end: SANITIZED };
    const { cases, defects } = await fuzzSessions(job, { sanitizer: 'address' });
    expect(defects).to.deep.equal([]);
    expect(cases).to.equal(SANITIZED);
  });

  it('are compared closely enough to see one factor that is negated', () => {
    let seen = 0;
    for (let index = 0; index < 200; index++) {
      const made = randomCase(randomFor(13, index));
      const sizes = judge(made);
      if (typeof sizes === 'string' || made.changes.length > 0 || sizes.activation !== 'none') continue;
      const right = expectedOf(made, sizes);
      if (right.y.length === 0) continue;
      const { data } = made.inputs[1].tensor;
      data.forEach((value, i) => (data[i] = -value));
      const wrong = expectedOf(made, sizes);
      const differs = right.y.some((y, i) => Math.abs(y - wrong.y[i]) > right.tolerance[i]);
      expect(differs, `case ${index}`).to.equal(true);
      seen++;
    }
    expect(seen).to.be.greaterThan(10);
  });

  it('hold special values as the type stores them', () => {
    const found = new Set<string>();
    for (let index = 0; index < 100; index++) {
      const random = randomFor(14, index);
      const tensor = randomTensor('float16', [3], random);
      poison(tensor, random);
      tensor.data.forEach((value) => found.add(String(value)));
    }
    for (const special of ['NaN', 'Infinity', '-Infinity', '65504']) expect([...found]).to.include(special);
  });
});
