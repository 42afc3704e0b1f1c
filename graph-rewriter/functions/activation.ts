// The activations of docs/operators.md in standard operators, in the order of nodes that ONNX Runtime's own fusions recognise.
import type { Activation } from '../types.js';
import type { NodeBuilder, Value } from './builder.js';

/** `scalar` makes a constant of the type of `v`. */
export function emitActivation(
  b: NodeBuilder,
  activation: Activation,
  v: Value,
  scalar: (value: number) => Value,
): Value {
  switch (activation) {
    case 'none':
      return v;
    case 'relu':
      return b.op('Relu', [v]);
    case 'silu':
      return b.op('Mul', [v, b.op('Sigmoid', [v])]);
    case 'gelu': {
      const erf = b.op('Erf', [b.op('Div', [v, scalar(Math.SQRT2)])]);
      return b.op('Mul', [b.op('Mul', [v, b.op('Add', [erf, scalar(1)])]), scalar(0.5)]);
    }
    case 'gelu_tanh': {
      const cubic = b.op('Mul', [b.op('Mul', [b.op('Mul', [v, v]), v]), scalar(0.044715)]);
      const tanh = b.op('Tanh', [b.op('Mul', [b.op('Add', [v, cubic]), scalar(Math.sqrt(2 / Math.PI))])]);
      return b.op('Mul', [b.op('Mul', [v, scalar(0.5)]), b.op('Add', [tanh, scalar(1)])]);
    }
  }
}
