// The portable function of an operator: what a runtime without the plugin executes.
import type { onnx } from 'onnx-proto';
import type { StructureSpec } from '../factorize/types.js';
import { CAST_LIKE_OPSET } from '../mixed-types.js';
import { DOMAIN } from '../model.js';
import { operatorName } from '../operator-name.js';
import { dataTypeNumber } from '../schema.js';
import type { Activation, FactorType } from '../types.js';
import { emitActivation } from './activation.js';
import { emitBlast } from './blast.js';
import { NodeBuilder, type Value } from './builder.js';
import { emitLowRank } from './low-rank.js';
import { emitMonarch } from './monarch.js';

export interface FunctionSpec {
  readonly structure: StructureSpec['structure'];
  readonly activation: Activation;
  readonly interleaved: boolean;
  /** Some node has a bias: then the function takes one, and nodes without pass a zero. */
  readonly bias: boolean;
  /** Some node has a last block shorter than the others; needs opset 11. */
  readonly ragged: boolean;
  /** Some node's factors are not of X's type. */
  readonly castFactors: boolean;
  /** Type of X in all nodes; from opset 15 on they may differ and this is not used. */
  readonly type: FactorType;
}

export type FactorName = 'V' | 'S' | 'U';

/** In the operators' order of inputs. */
export const FACTOR_NAMES: Record<StructureSpec['structure'], readonly FactorName[]> = {
  'low-rank': ['V', 'U'],
  blast: ['V', 'S', 'U'],
  monarch: ['V', 'U'],
};

/** One body for every size: block counts are read from the factors' shapes, which ONNX Runtime folds when it loads the model. */
export function portableFunction(spec: FunctionSpec, opset: number): onnx.IFunctionProto {
  const b = new NodeBuilder(opset);
  const names = FACTOR_NAMES[spec.structure];
  const cast = (factor: Value) => (spec.castFactors ? castToX(b, factor, spec.type) : factor);
  const factors = Object.fromEntries(names.map((name) => [name, cast(name)])) as Record<
    'V' | 'S' | 'U',
    Value
  >;
  let y = emitProduct(b, factors, spec);
  if (spec.bias) y = b.op('Add', [y, 'B']);
  emitActivation(b, spec.activation, y, (value) =>
    opset < CAST_LIKE_OPSET ? b.float(value, spec.type) : castToX(b, b.float(value, 'float32'), spec.type),
  );
  b.renameLast('Y');
  return {
    name: operatorName(spec.structure, spec.activation, spec.interleaved),
    domain: DOMAIN,
    input: ['X', ...names, ...(spec.bias ? ['B'] : [])],
    output: ['Y'],
    node: b.nodes,
    opsetImport: [{ domain: '', version: opset }],
  };
}

function emitProduct(b: NodeBuilder, factors: Record<FactorName, Value>, spec: FunctionSpec): Value {
  switch (spec.structure) {
    case 'low-rank':
      return emitLowRank(b, 'X', factors);
    case 'blast':
      return emitBlast(b, 'X', factors, spec.ragged);
    case 'monarch':
      return emitMonarch(b, 'X', factors, spec);
  }
}

function castToX(b: NodeBuilder, value: Value, type: FactorType): Value {
  return b.opset >= CAST_LIKE_OPSET
    ? b.op('CastLike', [value, 'X'])
    : b.op('Cast', [value], { to: dataTypeNumber(type) });
}
