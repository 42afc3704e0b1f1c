import { expect } from 'chai';
import type { onnx } from 'onnx-proto';
import { constant, int64s, node, tensor } from '../graph-rewriter/helpers/onnx.js';
import { type Case, checkGradient, expectClose } from './check.js';

/** In double: floats of a test's constants are stored as such and cast. */
const doubles = (name: string, dims: number[], values: number[]): onnx.ITensorProto => ({
  name,
  dims,
  dataType: 11,
  doubleData: values,
});
const values = (count: number, scale = 1) =>
  Array.from({ length: count }, (_, i) => scale * Math.sin(1 + 2.7 * i));
const positive = (normal: () => number) => 0.3 + Math.abs(normal());

function unary(opType: string, more: Partial<Case> = {}, attributes = {}, floats = {}): Case {
  return {
    nodes: [node(opType, ['x0'], ['y0'], attributes, { floats })],
    inputs: [[2, 3, 4]],
    ...more,
  };
}

function binary(opType: string, a: number[], b: number[], more: Partial<Case> = {}): Case {
  return { nodes: [node(opType, ['x0', 'x1'], ['y0'])], inputs: [a, b], ...more };
}

const CASES: Record<string, Case> = {
  Abs: unary('Abs'),
  Cos: unary('Cos', { single: true }),
  Sin: unary('Sin'),
  Erf: unary('Erf', { single: true }),
  Exp: unary('Exp'),
  'Gelu, erf': unary('Gelu', { single: true }),
  'Gelu, tanh': unary('Gelu', { single: true }, { approximate: 'tanh' }),
  HardSigmoid: unary('HardSigmoid', { single: true }),
  HardSwish: unary('HardSwish', { single: true, fill: (normal) => 1.5 * Math.sin(normal()) }),
  LeakyRelu: unary(
    'LeakyRelu',
    { single: true, fill: (normal) => positive(normal) * Math.sign(normal()) },
    {},
    { alpha: 0.2 },
  ),
  Log: unary('Log', { fill: positive }),
  Neg: unary('Neg'),
  Reciprocal: unary('Reciprocal', { fill: positive }),
  Relu: unary('Relu', { fill: (normal) => positive(normal) * Math.sign(normal()) }),
  Sigmoid: unary('Sigmoid'),
  Softplus: unary('Softplus', { single: true }),
  Sqrt: unary('Sqrt', { fill: positive }),
  Tanh: unary('Tanh'),
  'Add of equal shapes': binary('Add', [2, 3], [2, 3]),
  'Add, repeated along leading and inner axes': binary('Add', [4, 2, 3], [2, 1]),
  'Add of a scalar': binary('Add', [], [2, 3]),
  'Sub, repeated': binary('Sub', [2, 1, 3], [4, 1]),
  'Mul, repeated': binary('Mul', [2, 1, 3], [5, 1]),
  'Div, repeated': binary('Div', [2, 3], [3], { fill: positive }),
  Max: binary('Max', [2, 3], [3]),
  Min: binary('Min', [2, 3], [2, 1]),
  'Sum of three': {
    nodes: [node('Sum', ['x0', 'x1', 'x0'], ['y0'])],
    inputs: [[2, 3], [3]],
    single: true,
  },
  'Mean of two': binary('Mean', [2, 3], [3], { single: true }),
  'Pow of an even and an odd exponent': {
    nodes: [node('Pow', ['x0', 'p'], ['y0'])],
    inputs: [[4, 2]],
    constants: [doubles('p', [2], [2, 3])],
  },
  Where: {
    nodes: [
      constant('c', { dataType: 9, dims: [2, 1], int32Data: [1, 0] }),
      node('Where', ['c', 'x0', 'x1'], ['y0']),
    ],
    inputs: [[2, 3], [3]],
  },
  'Clip between constants': {
    nodes: [node('Clip', ['x0', 'low', 'high'], ['y0'])],
    inputs: [[3, 5]],
    constants: [doubles('low', [], [-0.7]), doubles('high', [], [0.9])],
  },
  'MatMul by a weight': {
    nodes: [node('MatMul', ['x0', 'w'], ['y0'])],
    inputs: [[2, 3, 4]],
    constants: [tensor('w', [4, 5], values(20))],
    single: true,
  },
  'MatMul of two batches': binary('MatMul', [2, 2, 3, 4], [2, 2, 4, 5], { single: true }),
  'MatMul, one batch repeated': binary('MatMul', [3, 3, 4], [4, 2], { single: true }),
  'MatMul by a constant vector': {
    nodes: [node('MatMul', ['x0', 'w'], ['y0'])],
    inputs: [[2, 3, 4]],
    constants: [doubles('w', [4], values(4))],
  },
  ...Object.fromEntries(
    [0, 1, 2, 3].map((bits) => {
      const [transA, transB] = [bits & 1, bits >> 1];
      const example: Case = {
        nodes: [
          node('Gemm', ['x0', 'x1', 'x2'], ['y0'], { transA, transB }, { floats: { alpha: 0.7, beta: 1.3 } }),
        ],
        inputs: [transA ? [4, 3] : [3, 4], transB ? [5, 4] : [4, 5], [5]],
      };
      return [`Gemm, transA ${transA}, transB ${transB}`, example];
    }),
  ),
  Einsum: {
    nodes: [node('Einsum', ['x0', 'x1'], ['y0'], { equation: 'bij, bkj -> bik' })],
    inputs: [
      [2, 3, 4],
      [2, 5, 4],
    ],
  },
  'Softmax over the last axis': unary('Softmax'),
  'Softmax over an inner axis': unary('Softmax', {}, { axis: 1 }),
  LogSoftmax: unary('LogSoftmax', {}, { axis: -1 }),
  'LayerNormalization over the last axis': {
    nodes: [node('LayerNormalization', ['x0', 's', 'c'], ['y0'], {}, { floats: { epsilon: 0.1 } })],
    inputs: [[2, 3, 4]],
    constants: [doubles('s', [4], values(4)), doubles('c', [4], values(4))],
  },
  'LayerNormalization over two axes': {
    nodes: [node('LayerNormalization', ['x0', 's'], ['y0'], { axis: 1 })],
    inputs: [[2, 3, 4]],
    constants: [doubles('s', [3, 4], values(12))],
  },
  SimplifiedLayerNormalization: {
    nodes: [node('SimplifiedLayerNormalization', ['x0', 's'], ['y0'], { axis: -1 })],
    inputs: [[2, 3, 4]],
    constants: [doubles('s', [4], values(4))],
  },
  BatchNormalization: {
    nodes: [node('BatchNormalization', ['x0', 's', 'c', 'm', 'v'], ['y0'])],
    inputs: [[2, 3, 2, 2]],
    constants: [
      ...['s', 'c', 'm'].map((name) => doubles(name, [3], values(3))),
      doubles('v', [3], [0.5, 1, 2]),
    ],
  },
  Transpose: unary('Transpose', {}, { perm: [2, 0, 1] }),
  'Transpose of all axes': unary('Transpose'),
  Flatten: unary('Flatten'),
  Identity: unary('Identity'),
  Reshape: {
    ...unary('Reshape'),
    nodes: [node('Reshape', ['x0', 's'], ['y0'])],
    constants: [int64s('s', [3, -1])],
  },
  Unsqueeze: {
    ...unary('Unsqueeze'),
    nodes: [node('Unsqueeze', ['x0', 'a'], ['u']), node('Squeeze', ['u', 'a'], ['y0'])],
    constants: [int64s('a', [1])],
  },
  Expand: {
    nodes: [node('Expand', ['x0', 's'], ['y0'])],
    inputs: [[3, 1]],
    constants: [int64s('s', [2, 1, 4])],
  },
  'Concat of three, one twice': {
    nodes: [node('Concat', ['x0', 'x1', 'x0'], ['y0'], { axis: -1 })],
    inputs: [
      [2, 3],
      [2, 1],
    ],
  },
  'Split with an output that nothing reads': {
    nodes: [node('Split', ['x0', 's'], ['y0', 'unused', 'y1'], { axis: 1 })],
    inputs: [[2, 6]],
    constants: [int64s('s', [1, 2, 3])],
    outputs: 2,
  },
  'Slice with steps': {
    nodes: [node('Slice', ['x0', 'from', 'to', 'axes', 'by'], ['y0'])],
    inputs: [[5, 4]],
    constants: [
      int64s('from', [3, 0]),
      int64s('to', [-99, 4]),
      int64s('axes', [0, 1]),
      int64s('by', [-2, 3]),
    ],
  },
  'Slice before opset 16': {
    nodes: [node('Slice', ['x0', 'from', 'to'], ['y0'])],
    inputs: [[5, 4]],
    constants: [int64s('from', [1]), int64s('to', [3])],
    opset: 15,
  },
  'Gather with a repeated index': {
    nodes: [node('Gather', ['x0', 'i'], ['y0'], { axis: 1 })],
    inputs: [[2, 3, 2]],
    constants: [int64s('i', [2, 0, 2])],
  },
  'Cast to float and back': {
    nodes: [node('Cast', ['x0'], ['f'], { to: 1 }), node('Neg', ['f'], ['y0'])],
    inputs: [[3]],
    single: true,
  },
  'ReduceSum over one axis': {
    nodes: [node('ReduceSum', ['x0', 'a'], ['y0'], { keepdims: 0 })],
    inputs: [[2, 3, 4]],
    constants: [int64s('a', [1])],
  },
  'ReduceMean over two axes': {
    nodes: [node('ReduceMean', ['x0', 'a'], ['y0'])],
    inputs: [[2, 3, 4]],
    constants: [int64s('a', [-1, 0])],
  },
  'ReduceMean over all axes': unary('ReduceMean', {}, { keepdims: 0 }),
  'ReduceMean with axes as attribute': unary('ReduceMean', { opset: 17 }, { keepdims: 0, axes: [-1] }),
  ReduceMax: unary('ReduceMax', { opset: 17 }, { axes: [1], keepdims: 0 }),
  ReduceL2: unary('ReduceL2', { opset: 17 }, { axes: [-1], keepdims: 1 }),
  ReduceSumSquare: unary('ReduceSumSquare', { opset: 17 }, { axes: [1], keepdims: 0 }),
  'Conv, strided, padded, in groups': {
    nodes: [node('Conv', ['x0', 'w'], ['y0'], { strides: [2, 3], pads: [1, 0, 1, 0], group: 2 })],
    inputs: [[1, 4, 6, 8]],
    constants: [tensor('w', [4, 2, 3, 3], values(72))],
    single: true,
  },
  'Conv over one axis, dilated': {
    nodes: [node('Conv', ['x0', 'w'], ['y0'], { dilations: [2], pads: [2, 1] })],
    inputs: [[2, 3, 7]],
    constants: [tensor('w', [2, 3, 3], values(18))],
    single: true,
  },
  ConvTranspose: {
    nodes: [node('ConvTranspose', ['x0', 'w'], ['y0'], { strides: [2, 2] })],
    inputs: [[1, 2, 3, 3]],
    constants: [tensor('w', [2, 3, 2, 2], values(24))],
    single: true,
  },
  'a value that several nodes read': {
    nodes: [
      node('Tanh', ['x0'], ['t']),
      node('Mul', ['t', 't'], ['square']),
      node('Add', ['square', 'x0'], ['sum']),
      node('Mul', ['sum', 't'], ['y0']),
    ],
    inputs: [[2, 3]],
  },
};

describe('a gradient rule equals central differences:', () => {
  for (const [name, example] of Object.entries(CASES)) it(name, () => checkGradient(example));
});

describe('the comparison of gradients', () => {
  it('fails one element that is off by more than its tolerance, and another length', () => {
    const exact = [1, -2, 0.5];
    expectClose(exact, exact, 1e-7);
    expect(() => expectClose([1, -2, 0.5 + 1e-6], exact, 1e-7)).to.throw(/element 2/);
    expect(() => expectClose([1, -2], exact, 1e-7)).to.throw();
  });
});
