import { expect } from 'chai';
import { decodeGreedily } from '../../src/demo/ctc.js';

const ALPHABET = ['', 'a', 'b', ' '];
/** One row of scores for each class, that class the highest. */
const steps = (...classes: number[]) =>
  Float32Array.from(classes.flatMap((best) => ALPHABET.map((_, index) => (index === best ? 0.7 : 0.1))));

describe('decodeGreedily', () => {
  const cases: [string, number[], string][] = [
    ['drops blanks', [0, 1, 0, 2, 0], 'ab'],
    ['merges repeats', [1, 1, 1, 2, 2], 'ab'],
    ['keeps a letter twice where a blank stands between', [1, 0, 1], 'aa'],
    ['takes the last class for a space', [1, 3, 2], 'a b'],
    ['reads nothing from blanks', [0, 0], ''],
    ['reads nothing from no steps', [], ''],
  ];
  for (const [title, classes, text] of cases) {
    it(title, () => {
      expect(decodeGreedily(steps(...classes), ALPHABET)).to.equal(text);
    });
  }
});
