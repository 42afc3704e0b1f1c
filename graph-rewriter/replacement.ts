// The nodes that take the place of matched products, and the functions that these need.
import type { onnx } from 'onnx-proto';
import type { BiasStore } from './bias-store.js';
import type { Factorized } from './factorized-layers.js';
import { NodeBuilder } from './functions/builder.js';
import { type FunctionSpec, portableFunction } from './functions/index.js';
import { DOMAIN } from './model.js';
import { emitMoves } from './moves.js';
import type { Names } from './names.js';
import { operatorName } from './operator-name.js';
import type { Match } from './rule.js';
import type { Compute, FactorType, FloatFactorType } from './types.js';

export interface Replacement {
  readonly match: Match;
  readonly factorized: Factorized;
  readonly factorType: FactorType;
  readonly compute: Compute;
}

export function nameOf({ match, factorized, factorType }: Replacement): string {
  return operatorName(factorized.factors.structure, match.activation, false, factorType === 'int8');
}

/** One function for each operator name, wide enough for all nodes of that name. */
export function functionSpecs(replacements: readonly Replacement[]): Map<string, FunctionSpec> {
  const specs = new Map<string, FunctionSpec>();
  for (const replacement of replacements) {
    const name = nameOf(replacement);
    const own = specOf(replacement);
    const known = specs.get(name) ?? own;
    specs.set(name, {
      ...known,
      bias: known.bias || own.bias,
      ragged: known.ragged || own.ragged,
      castFactors: known.castFactors || own.castFactors,
      compute: known.compute === true || own.compute === true,
    });
  }
  return specs;
}

export function portableFunctions(specs: Map<string, FunctionSpec>, opset: number): onnx.IFunctionProto[] {
  return [...specs.values()].map((spec) => portableFunction(spec, opset));
}

export async function replacementNodes(
  replacement: Replacement,
  spec: FunctionSpec,
  { biases, names, opset }: { biases: BiasStore; names: Names; opset: number },
): Promise<{ nodes: onnx.INodeProto[]; main: number }> {
  const { match, factorized } = replacement;
  const { before = [], after = [], output } = match;
  const b = new NodeBuilder(
    opset,
    before.length + after.length > 0 ? `${names.unique(`${output}.blockrank`)}.` : '',
  );
  const input = [emitMoves(b, match.input, before), ...factorized.names];
  if (factorized.biasShift !== undefined)
    input.push(await biases.shifted(match, factorized.biasShift, valueType(match)));
  else if (match.bias !== undefined) input.push(await biases.name(match.bias, valueType(match)));
  else if (spec.bias) input.push(await biases.zero(valueType(match)));
  const main = b.nodes.length;
  emitMoves(b, b.op(nameOf(replacement), input), after);
  const attribute = spec.compute ? [computeAttribute(replacement.compute)] : [];
  Object.assign(b.nodes[main], { name: match.nodes[0].name, domain: DOMAIN, attribute });
  b.renameLast(output);
  return { nodes: b.nodes, main };
}

/** Where one node of a name has it all do: a function that takes an attribute has no default for it in IR 8. */
function computeAttribute(compute: Compute): onnx.IAttributeProto {
  const STRING = 3;
  return { name: 'compute', type: STRING, s: new TextEncoder().encode(compute) };
}

function specOf({ match, factorized, factorType, compute }: Replacement): FunctionSpec {
  const { structure, in: inputs, out, blocksIn, blocksOut } = factorized.factors;
  return {
    structure,
    activation: match.activation,
    interleaved: false,
    int8: factorType === 'int8',
    bias: match.bias !== undefined || factorized.biasShift !== undefined,
    ragged: inputs % blocksIn !== 0 || out % blocksOut !== 0,
    castFactors: factorType !== valueType(match),
    compute: compute !== 'float',
    type: valueType(match),
  };
}

/** The rules accept no other types. */
function valueType(match: Match): FloatFactorType {
  return match.weight.dtype as FloatFactorType;
}
