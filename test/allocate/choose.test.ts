import { expect } from 'chai';
import { chooseAccurate, chooseWithin, type Option, total } from '../../graph-rewriter/allocate/choose.js';
import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';

const random = randomNormal(17);

/** Options on a convex falling curve, as spectra give. */
function curve(points: number): Option[] {
  const steps = Array.from({ length: points }, () => Math.abs(random())).sort((a, b) => b - a);
  let loss = steps.reduce((a, b) => a + b, 0);
  return steps.map((step, i) => {
    loss -= step;
    return { cost: 3 * (i + 1), loss };
  });
}

/** The least sum of losses under the budget, over all combinations. */
function bruteForce(items: readonly (readonly Option[])[], budget: number): number {
  if (items.length === 0) return budget >= 0 ? 0 : Infinity;
  const [head, ...rest] = items;
  return Math.min(...head.map(({ cost, loss }) => loss + bruteForce(rest, budget - cost)));
}

describe('chooseWithin', () => {
  for (let trial = 0; trial < 20; trial++)
    it(`is as good as trying everything, on convex curves of equal steps (${trial})`, () => {
      const items = [curve(4), curve(5), curve(3), curve(6)];
      const budget = 12 + 2 * trial;
      const choice = chooseWithin(items, budget)!;
      expect(total(items, choice, 'cost')).to.be.at.most(budget);
      expect(total(items, choice, 'loss')).to.be.closeTo(bruteForce(items, budget), 1e-12);
    });

  it('takes what is best where everything can be paid, at the least cost', () => {
    const items = [
      [
        { cost: 9, loss: 0 },
        { cost: 5, loss: 0 },
        { cost: 1, loss: 2 },
      ],
    ];
    expect(chooseWithin(items, 100)).to.eql([1]);
  });

  it('passes over options inside the hull, and spends what is left on one that fits', () => {
    const items = [
      [
        { cost: 10, loss: 0 },
        { cost: 6, loss: 9 },
        { cost: 1, loss: 10 },
      ],
    ];
    expect(chooseWithin(items, 10)).to.eql([0]);
    expect(chooseWithin(items, 7)).to.eql([1]);
  });

  it('is undefined where the cheapest options cost too much', () => {
    expect(chooseWithin([[{ cost: 2, loss: 0 }], [{ cost: 3, loss: 0 }]], 4)).to.equal(undefined);
    expect(chooseWithin([], 0)).to.eql([]);
  });
});

describe('chooseAccurate', () => {
  it('meets the loss at the cost that the same budget would have', () => {
    const items = [curve(5), curve(5), curve(5)];
    const most = total(items, [2, 2, 2], 'loss');
    const choice = chooseAccurate(items, most)!;
    expect(total(items, choice, 'loss')).to.be.at.most(most);
    expect(total(items, choice, 'cost')).to.be.at.most(total(items, [2, 2, 2], 'cost'));
  });

  it('is undefined where no options are that accurate', () => {
    expect(chooseAccurate([[{ cost: 2, loss: 1 }]], 0.5)).to.equal(undefined);
  });
});
