// A node of ours as read from a model: its factors and what it does with the product.
import { type Constant, constantNumbers, findConstant } from './constants.js';
import { expectFeatures } from './declared-features.js';
import { BlockrankError } from './errors.js';
import { dequantize } from './factorize/int8/index.js';
import type { Factors, StructureSpec } from './factorize/types.js';
import { type FactorInput, factorInputs } from './functions/factor-inputs.js';
import type { Graph } from './graph.js';
import type { Node } from './node.js';
import { parseOperatorName } from './operator-name.js';
import { sizePerRank } from './structure-size.js';
import type { Activation } from './types.js';

export interface StructuredNode {
  readonly node: Node;
  readonly graph: Graph;
  readonly activation: Activation;
  readonly interleaved: boolean;
  readonly spec: Omit<Factors, 'V' | 'S' | 'U'>;
  /** With the scales of int8 factors. */
  readonly factors: Readonly<Record<FactorInput, Constant | undefined>>;
  /** Name of the bias; undefined where there is none. */
  readonly bias: string | undefined;
}

/** Throws INVALID_MODEL where the node is not as docs/operators.md says. */
export function readStructuredNode(node: Node, graph: Graph): StructuredNode {
  const op = parseOperatorName(node.opType);
  if (op === undefined)
    throw wrong(node, `an operator called ${node.opType}, which this version does not know`);
  if (!node.inputs[0] || node.outputs.length !== 1 || node.outputs[0] === '')
    throw wrong(
      node,
      `${node.inputs.length} inputs and ${node.outputs.length} outputs; X and Y must be among them`,
    );
  const names = factorInputs(op.structure, op.int8);
  const found = names.map((name, i) => [name, findConstant(graph, node.inputs[i + 1] ?? '')] as const);
  for (const [name, constant] of found)
    if (constant === undefined || constant.transposed)
      throw wrong(node, `a factor ${name} that is not constant`);
  const factors = Object.fromEntries(found) as StructuredNode['factors'];
  const spec = readSpec(node, op.structure, factors);
  expectFeatures(graph, node, node.inputs[0], spec.in);
  return {
    node,
    graph,
    activation: activationOf(node, op.activation),
    interleaved: op.interleaved || node.string('output_order', 'contiguous') === 'interleaved',
    spec,
    factors,
    bias: node.inputs[names.length + 1] || undefined,
  };
}

/** The variant's name fixes the activation; the plain name leaves it to the attribute. */
function activationOf(node: Node, named: Activation): Activation {
  return named === 'none' ? (node.string('activation', 'none') as Activation) : named;
}

function readSpec(
  node: Node,
  structure: StructureSpec['structure'],
  { V, S, U }: StructuredNode['factors'],
): StructuredNode['spec'] {
  const v = V!.dims;
  const u = U!.dims;
  const s = S?.dims ?? [];
  const spec =
    structure === 'monarch'
      ? { structure, rank: v[1], blocksIn: u[1], blocksOut: v[0], in: v[2], out: u[0] }
      : { structure, rank: v[0], blocksIn: s[1] ?? 1, blocksOut: s[0] ?? 1, in: v[1], out: u[0] };
  const numbers = V!.tensor.count + U!.tensor.count + (S?.tensor.count ?? 0);
  if (numbers !== spec.rank * sizePerRank(spec, spec) || u.at(-1) !== spec.rank)
    throw wrong(node, `factors of shapes ${[v, s, u].map((dims) => `[${dims.join(', ')}]`).join(' ')}`);
  return spec;
}

/** The numbers that a node's factors stand for. */
export function factorNumbers(
  spec: StructuredNode['spec'],
  { V, VScale, S, U, UScale }: StructuredNode['factors'],
): Factors {
  const coupling = S && { S: constantNumbers(S) };
  const [v, u] = [constantNumbers(V!), constantNumbers(U!)];
  if (VScale === undefined || UScale === undefined) return { ...spec, V: v, U: u, ...coupling };
  const scales = { vScale: constantNumbers(VScale), uScale: constantNumbers(UScale) };
  return dequantize({ ...spec, V: Int8Array.from(v), U: Int8Array.from(u), ...scales, ...coupling });
}

function wrong(node: Node, found: string): BlockrankError {
  return new BlockrankError('INVALID_MODEL', `${node.label} has ${found}.`);
}
