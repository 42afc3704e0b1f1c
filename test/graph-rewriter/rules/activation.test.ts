import { expect } from 'chai';
import { erf } from '../../../graph-rewriter/rules/elementwise.js';
import { B, OUT, rewriteAndCompare, weightTensor } from '../helpers/layer-model.js';
import { constant, node, tensor, valueInfo } from '../helpers/onnx.js';

type Step = readonly [string, readonly (string | number)[]];

/** v is the product with bias; numbers become constants; each step's output is s0, s1, …; the last one is y. */
function steps(list: readonly Step[], type: 'float32' | 'float16' = 'float32', rank = 0) {
  const nodes = [node('MatMul', ['x', 'w'], ['m'], {}, { name: 'fc' }), node('Add', ['m', 'b'], ['v'])];
  list.forEach(([op, operands], i) => {
    const inputs = operands.map((operand, k) => {
      if (typeof operand === 'string') return operand;
      const name = `c${i}_${k}`;
      nodes.push(constant(name, tensor('', rank === 0 ? [] : [1], [operand], type)));
      return name;
    });
    nodes.push(node(op, inputs, [i === list.length - 1 ? 'y' : `s${i}`]));
  });
  return nodes;
}

const initializers = [weightTensor('inOut'), tensor('b', [OUT], B)];
const R2 = Math.SQRT2;
const C = Math.sqrt(2 / Math.PI);

const gelu: Record<string, readonly Step[]> = {
  'Div, Erf, Add, Mul, Mul': [
    ['Div', ['v', R2]],
    ['Erf', ['s0']],
    ['Add', ['s1', 1]],
    ['Mul', ['v', 's2']],
    ['Mul', ['s3', 0.5]],
  ],
  'half of v first': [
    ['Div', ['v', R2]],
    ['Erf', ['s0']],
    ['Add', [1, 's1']],
    ['Mul', ['v', 0.5]],
    ['Mul', ['s3', 's2']],
  ],
  'a product by 1/√2': [
    ['Mul', ['v', 1 / R2]],
    ['Erf', ['s0']],
    ['Add', ['s1', 1]],
    ['Mul', ['s2', 0.5]],
    ['Mul', ['s3', 'v']],
  ],
};
const geluTanh: Record<string, readonly Step[]> = {
  Pow: [
    ['Pow', ['v', 3]],
    ['Mul', ['s0', 0.044715]],
    ['Add', ['v', 's1']],
    ['Mul', ['s2', C]],
    ['Tanh', ['s3']],
    ['Add', ['s4', 1]],
    ['Mul', ['v', 0.5]],
    ['Mul', ['s6', 's5']],
  ],
  products: [
    ['Mul', ['v', 'v']],
    ['Mul', ['s0', 'v']],
    ['Mul', [0.044715, 's1']],
    ['Add', ['v', 's2']],
    ['Mul', ['s3', C]],
    ['Tanh', ['s4']],
    ['Add', [1, 's5']],
    ['Mul', ['v', 's6']],
    ['Mul', ['s7', 0.5]],
  ],
  'v · (1 + c·v²)': [
    ['Mul', ['v', C]],
    ['Mul', ['v', 0.044715]],
    ['Mul', ['s1', 'v']],
    ['Add', ['s2', 1]],
    ['Mul', ['s0', 's3']],
    ['Tanh', ['s4']],
    ['Add', ['s5', 1]],
    ['Mul', ['v', 0.5]],
    ['Mul', ['s7', 's6']],
  ],
};
const silu: Record<string, readonly Step[]> = {
  'Sigmoid, Mul': [
    ['Sigmoid', ['v']],
    ['Mul', ['v', 's0']],
  ],
  "Paddle's, with a product by 1": [
    ['Mul', ['v', 1]],
    ['Sigmoid', ['s0']],
    ['Mul', ['v', 's1']],
  ],
};

describe('fuseActivation', () => {
  const forms = { relu: { Relu: [['Relu', ['v']]] as Step[] }, gelu, gelu_tanh: geluTanh, silu };
  for (const [activation, variants] of Object.entries(forms))
    for (const [name, list] of Object.entries(variants))
      it(`recognises ${activation} as ${name}`, async () => {
        for (const rank of [0, 1]) {
          const { results } = await rewriteAndCompare({ nodes: steps(list, 'float32', rank), initializers });
          expect(results[0].layer.activation).to.equal(activation);
          expect(results[0].layer.fused).to.have.length(1 + list.length);
        }
      });

  it('recognises both GELUs through constants that were rounded to float16', async () => {
    const half = [weightTensor('inOut', 'w', 'float16'), tensor('b', [OUT], B, 'float16')];
    for (const [activation, list] of [
      ['gelu', Object.values(gelu)[0]],
      ['gelu_tanh', Object.values(geluTanh)[0]],
    ] as const) {
      const { results } = await rewriteAndCompare(
        { nodes: steps(list, 'float16'), initializers: half, type: 'float16' },
        { factorType: 'float16' },
      );
      expect(results[0].layer.activation).to.equal(activation);
    }
  });

  it('takes the Gelu operator of opset 20 with either approximation', async () => {
    for (const [approximate, activation] of [
      ['none', 'gelu'],
      ['tanh', 'gelu_tanh'],
    ]) {
      const nodes = [node('MatMul', ['x', 'w'], ['v']), node('Gelu', ['v'], ['y'], { approximate })];
      const { results } = await rewriteAndCompare({ nodes, initializers, opset: 20 });
      expect(results[0].layer.activation).to.equal(activation);
    }
  });

  const left: readonly [string, readonly Step[]][] = [
    [
      'QuickGELU',
      [
        ['Mul', ['v', 1.702]],
        ['Sigmoid', ['s0']],
        ['Mul', ['v', 's1']],
      ],
    ],
    [
      'a GELU with a wrong constant',
      [
        ['Div', ['v', 1.5]],
        ['Erf', ['s0']],
        ['Add', ['s1', 1]],
        ['Mul', ['v', 's2']],
        ['Mul', ['s3', 0.5]],
      ],
    ],
    ['HardSigmoid', [['HardSigmoid', ['v']]]],
    ['Tanh', [['Tanh', ['v']]]],
    [
      'half a GELU',
      [
        ['Div', ['v', R2]],
        ['Erf', ['s0']],
        ['Add', ['s1', 1]],
        ['Mul', ['v', 's2']],
      ],
    ],
  ];
  for (const [name, list] of left)
    it(`leaves ${name}`, async () => {
      const { results } = await rewriteAndCompare({ nodes: steps(list), initializers });
      expect(results[0].layer).to.deep.include({ activation: 'none', bias: true });
    });

  it('leaves an activation whose inner value is read elsewhere or is an output', async () => {
    const list = silu['Sigmoid, Mul'];
    const shape = ['a', 'b', OUT];
    for (const name of ['v', 's0']) {
      const outputs = [valueInfo('y', shape), valueInfo(name, shape)];
      const { results } = await rewriteAndCompare({ nodes: steps(list), initializers, outputs });
      expect(results[0].layer.activation).to.equal('none');
      const readers = [...steps(list), node('Neg', [name], ['z'])];
      const again = await rewriteAndCompare({
        nodes: readers,
        initializers,
        outputs: [valueInfo('y', shape), valueInfo('z', shape)],
      });
      expect(again.results[0].layer.activation).to.equal('none');
    }
  });
});

describe('erf', () => {
  // NIST DLMF table 7.23 and the identities around it.
  const known = [
    [0, 0],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [2.6, 0.9997639655834707],
    [3, 0.9999779095030014],
  ];
  for (const [x, y] of known)
    it(`is ${y} at ±${x}`, () => {
      expect(erf(x)).to.be.closeTo(y, 1e-14);
      expect(erf(-x)).to.be.closeTo(-y, 1e-14);
    });
});
