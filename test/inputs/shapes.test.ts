import { expect } from 'chai';
import type { ModelInput } from '../../src/inputs/model-inputs.js';
import { parseShape, resolveShapes } from '../../src/inputs/shapes.js';

const float = (name: string, shape: ModelInput['shape']): ModelInput => ({ name, type: 'float32', shape });

describe('parseShape', () => {
  it('splits at the last colon', () => {
    expect(parseShape('input:0:1,3')).to.deep.equal({ name: 'input:0', dims: [1, 3] });
  });

  for (const text of ['x', 'x:', ':1,2', 'x:1,-2', 'x:1,b', 'x:1,,2']) {
    it(`refuses '${text}'`, () => {
      expect(() => parseShape(text)).to.throw('for example x:1,3,48,320');
    });
  }
});

describe('resolveShapes', () => {
  it('keeps fixed dimensions, makes an open first one 1, and takes scalars as they are', () => {
    const shapes = resolveShapes([float('x', ['N', 3]), float('s', [])], {});
    expect([...shapes]).to.deep.equal([
      ['x', [1, 3]],
      ['s', []],
    ]);
  });

  it('carries a symbol from a given shape to inputs that share it', () => {
    const shapes = resolveShapes([float('ids', ['b', 'seq']), float('mask', ['b', 'seq'])], { ids: [2, 7] });
    expect(shapes.get('mask')).to.deep.equal([2, 7]);
  });

  it('names the input, the dimension and the option for one that stays open', () => {
    expect(() => resolveShapes([float('x', ['N', 3, 48, ''])], {})).to.throw(
      "input 'x' leaves its dimension 3 open ([N, 3, 48, ?]): give a shape with --shape x:1,3,48,64",
    );
  });

  it('names every input that needs a shape, once for each symbol', () => {
    const inputs = [
      float('ids', ['b', 'seq']),
      float('mask', ['b', 'seq']),
      float('cache', ['b', 4, 'past', 64]),
      float('image', [1, 3, '', '']),
    ];
    expect(() => resolveShapes(inputs, {})).to.throw(
      "input 'ids' leaves its dimension 1 open ([b, seq]); input 'cache' leaves its dimension 2 open ([b, 4, past, 64]); input 'image' leaves its dimensions 2, 3 open ([1, 3, ?, ?]): give shapes with --shape ids:1,64 --shape cache:1,4,64,64 --shape image:1,3,64,64, or",
    );
    expect(() => resolveShapes(inputs, { ids: [2, 7], image: [1, 3, 8, 8] })).to.throw(
      /^input 'cache' leaves .*: give a shape with --shape cache:2,4,64,64, or/,
    );
  });

  it('refuses a shape that contradicts the model', () => {
    expect(() => resolveShapes([float('x', ['N', 3])], { x: [1, 4] })).to.throw(
      "input 'x' has the shape [N, 3] in the model, and the given one is [1, 4]",
    );
  });

  it('refuses a shape for an input that the model lacks', () => {
    expect(() => resolveShapes([float('x', [1])], { y: [1] })).to.throw(
      "given for 'y', and the model's inputs are 'x'",
    );
  });
});
