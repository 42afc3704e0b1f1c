// The portable function of an operator: what a runtime without the plugin executes.
import type { onnx } from 'onnx-proto';
import { CAST_LIKE_OPSET } from '../mixed-types.js';
import { DOMAIN } from '../model.js';
import { operatorName } from '../operator-name.js';
import { dataTypeNumber } from '../schema.js';
import type { StructureSpec } from '../factorize/types.js';
import type { Activation, FloatFactorType } from '../types.js';
import { emitActivation } from './activation.js';
import { emitBlast } from './blast.js';
import { NodeBuilder, type Value } from './builder.js';
import { type FactorInput, factorInputs } from './factor-inputs.js';
import { emitLowRank } from './low-rank.js';
import { emitMonarch } from './monarch.js';

export { FACTOR_NAMES, type FactorName } from './factor-inputs.js';

export interface FunctionSpec {
  readonly structure: StructureSpec['structure'];
  readonly activation: Activation;
  readonly interleaved: boolean;
  /** V and U are integers with scales. */
  readonly int8?: boolean;
  /** Some node has a bias: then the function takes one, and nodes without pass a zero. */
  readonly bias: boolean;
  /** Some node has a last block shorter than the others; needs opset 11. */
  readonly ragged: boolean;
  /** Some node's factors are not of X's type; int8 never is. */
  readonly castFactors: boolean;
  /** Some node has the attribute `compute`; the function takes it and computes in floats all the same. */
  readonly compute?: boolean;
  /** Type of X in all nodes; from opset 15 on they may differ and this is not used. */
  readonly type: FloatFactorType;
}

/** One body for every size: block counts are read from the factors' shapes, which ONNX Runtime folds when it loads the model. */
export function portableFunction(spec: FunctionSpec, opset: number): onnx.IFunctionProto {
  const b = new NodeBuilder(opset);
  const names = factorInputs(spec.structure, spec.int8 ?? false);
  const cast = (factor: Value) => (spec.castFactors || spec.int8 ? castToX(b, factor, spec.type) : factor);
  const factors = Object.fromEntries(names.map((name) => [name, cast(name)])) as Inputs;
  let y = emitProduct(b, factors, spec);
  if (spec.bias) y = b.op('Add', [y, 'B']);
  emitActivation(b, spec.activation, y, (value) =>
    opset < CAST_LIKE_OPSET ? b.float(value, spec.type) : castToX(b, b.float(value, 'float32'), spec.type),
  );
  b.renameLast('Y');
  return {
    name: operatorName(spec.structure, spec.activation, spec.interleaved, spec.int8),
    domain: DOMAIN,
    input: ['X', ...names, ...(spec.bias ? ['B'] : [])],
    output: ['Y'],
    attribute: spec.compute ? ['compute'] : [],
    node: b.nodes,
    opsetImport: [{ domain: '', version: opset }],
  };
}

type Inputs = Record<FactorInput, Value>;

function emitProduct(b: NodeBuilder, factors: Inputs, spec: FunctionSpec): Value {
  switch (spec.structure) {
    case 'low-rank':
      return emitLowRank(b, 'X', factors);
    case 'blast':
      return emitBlast(b, 'X', factors, spec.ragged);
    case 'monarch':
      return emitMonarch(b, 'X', factors, spec);
  }
}

function castToX(b: NodeBuilder, value: Value, type: FloatFactorType): Value {
  return b.opset >= CAST_LIKE_OPSET
    ? b.op('CastLike', [value, 'X'])
    : b.op('Cast', [value], { to: dataTypeNumber(type) });
}
