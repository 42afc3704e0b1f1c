import { expect } from 'chai';
import { InvalidArgumentError } from 'commander';
import {
  blockCounts,
  compute,
  factorType,
  repeated,
  shapes,
  share,
  tolerances,
  wholeNumber,
} from '../../src/cli/parsers.js';

describe('option values', () => {
  it('reads whole numbers, shares and block counts', () => {
    expect(wholeNumber(1)('12')).to.equal(12);
    expect(share('0.5')).to.equal(0.5);
    expect(blockCounts('4')).to.equal(4);
    expect(blockCounts('4,8')).to.deep.equal([4, 8]);
  });

  it('reads types by their short and their long names', () => {
    expect(['fp32', 'fp16', 'bf16', 'int8', 'float16'].map(factorType)).to.deep.equal([
      'float32',
      'float16',
      'bfloat16',
      'int8',
      'float16',
    ]);
    expect(['float', 'bf16', 'int8', 'bfloat16'].map(compute)).to.deep.equal([
      'float',
      'bfloat16',
      'int8',
      'bfloat16',
    ]);
    expect(() => factorType('int4')).to.throw(
      InvalidArgumentError,
      'Expected one of fp32, fp16, bf16, int8.',
    );
    expect(() => compute('fp16')).to.throw(InvalidArgumentError, 'Expected one of float, bf16, int8.');
  });

  it('gathers repeated options', () => {
    expect(['a', 'b'].reduce<string[]>((before, text) => repeated(text, before), [])).to.deep.equal([
      'a',
      'b',
    ]);
    expect(shapes('y:2', shapes('x:1,3'))).to.deep.equal({ x: [1, 3], y: [2] });
  });

  it('tells a tolerance for all outputs from one for an output, whose name may hold colons', () => {
    const given = tolerances('out:0:0.5', tolerances('1e-3', tolerances('logits:0.1')));
    expect(given).to.deep.equal({ all: 1e-3, byOutput: { logits: 0.1, 'out:0': 0.5 } });
  });

  const wrong: [string, () => unknown][] = [
    ['a fraction where a whole number is due', () => wholeNumber(1)('1.5')],
    ['a number below the least', () => wholeNumber(1)('0')],
    ['an empty number', () => wholeNumber(0)(' ')],
    ['a share of zero', () => share('0')],
    ['a share above one', () => share('1.01')],
    ['three block counts', () => blockCounts('1,2,3')],
    ['a shape without a name', () => shapes('1,2')],
    ['a negative tolerance', () => tolerances('y:-1')],
    ['an empty tolerance', () => tolerances('y:')],
  ];
  for (const [title, act] of wrong) {
    it(`refuses ${title}`, () => {
      expect(act).to.throw(InvalidArgumentError);
    });
  }
});
