// The nodes that take the place of matched products, and the functions that these need.
import type { onnx } from 'onnx-proto';
import type { BiasStore } from './bias-store.js';
import type { Factorized } from './factorized-layers.js';
import { type FunctionSpec, portableFunction } from './functions/index.js';
import { DOMAIN } from './model.js';
import { operatorName } from './operator-name.js';
import type { Match } from './rule.js';
import type { FactorType } from './types.js';

export interface Replacement {
  readonly match: Match;
  readonly factorized: Factorized;
  readonly factorType: FactorType;
}

export function nameOf({ match, factorized }: Replacement): string {
  return operatorName(factorized.factors.structure, match.activation);
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
    });
  }
  return specs;
}

export function portableFunctions(specs: Map<string, FunctionSpec>, opset: number): onnx.IFunctionProto[] {
  return [...specs.values()].map((spec) => portableFunction(spec, opset));
}

export async function replacementNode(
  replacement: Replacement,
  spec: FunctionSpec,
  biases: BiasStore,
): Promise<onnx.INodeProto> {
  const { match, factorized } = replacement;
  const input = [match.input, ...factorized.names];
  if (factorized.biasShift !== undefined)
    input.push(await biases.shifted(match, factorized.biasShift, valueType(match)));
  else if (match.bias !== undefined) input.push(await biases.name(match.bias, valueType(match)));
  else if (spec.bias) input.push(await biases.zero(valueType(match)));
  return {
    name: match.nodes[0].name,
    opType: nameOf(replacement),
    domain: DOMAIN,
    input,
    output: [match.output],
  };
}

function specOf({ match, factorized, factorType }: Replacement): FunctionSpec {
  const { structure, in: inputs, out, blocksIn, blocksOut } = factorized.factors;
  return {
    structure,
    activation: match.activation,
    interleaved: false,
    bias: match.bias !== undefined || factorized.biasShift !== undefined,
    ragged: inputs % blocksIn !== 0 || out % blocksOut !== 0,
    castFactors: factorType !== valueType(match),
    type: valueType(match),
  };
}

/** The rules accept no other types. */
function valueType(match: Match): 'float32' | 'float16' {
  return match.weight.dtype as 'float32' | 'float16';
}
