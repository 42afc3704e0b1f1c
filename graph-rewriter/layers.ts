// Every matrix product of a model, in graph order, with the match or the reason that the rules give.
import { type Constant, findConstant, formOf, storedBytes } from './constants.js';
import { BlockrankError } from './errors.js';
import type { Graph } from './graph.js';
import type { Model } from './model.js';
import type { Node } from './node.js';
import { tensorsOf } from './recognise/factor-type.js';
import { type Recognition, recognise } from './recognise/index.js';
import { isRefusal, type Match, type Refusal, refuse } from './rule.js';
import { isProduct, matchProduct } from './rules/index.js';
import { refuseTied } from './rules/tied.js';
import type { LayerInfo, Reason } from './types.js';
import type { Message } from './wire/message.js';

export interface Layer {
  readonly info: LayerInfo;
  /** A dense product that can be replaced. */
  readonly match?: Match;
  /** A layer that is factorized already. Where neither is there, `info.reason` is. */
  readonly recognition?: Recognition;
}

interface Product {
  readonly node: Node;
  readonly graph: Graph;
  readonly nearMiss?: Reason;
}

export function findLayers(model: Model): Layer[] {
  const found = model.graph.within().flatMap((graph) => findIn(graph, model.opset));
  const products = found.filter((each): each is Product => 'node' in each);
  products.forEach(({ node }) => checkArity(node));
  const results = refuseTied(
    products.map(({ node, graph, nearMiss }) =>
      isProduct(node) ? matchProduct(node, graph) : { reason: nearMiss! },
    ),
  );
  const layers = found.map((each) =>
    'node' in each ? describe(each, results[products.indexOf(each)]) : describeRecognition(each),
  );
  return withUniqueIds([...withUniqueKeys(layers), ...functionProducts(model)]);
}

/** The products of one graph in its order; those of a factorized layer are one. */
function findIn(graph: Graph, opset: number): (Product | Recognition)[] {
  const { layers, nearMisses } = recognise(graph, opset);
  const firsts = new Map(layers.map((layer) => [layer.nodes[0], layer]));
  const taken = new Set(layers.flatMap(({ nodes }) => nodes));
  return graph.nodes.flatMap((node): Product | Recognition | [] => {
    const layer = firsts.get(node);
    if (layer !== undefined) return layer;
    const nearMiss = nearMisses.get(node);
    if (taken.has(node) || !(isProduct(node) || nearMiss)) return [];
    return { node, graph, ...(nearMiss && { nearMiss }) };
  });
}

function checkArity(node: Node): void {
  if (node.inputs.length < 2 || node.outputs.length !== 1 || node.outputs[0] === '')
    throw new BlockrankError(
      'INVALID_MODEL',
      `${node.label} has ${node.inputs.length} inputs and ${node.outputs.length} outputs; a product has two or more and one.`,
    );
}

function describe({ node, graph: { place }, nearMiss }: Product, result: Match | Refusal): Layer {
  const match = isRefusal(result) ? undefined : result;
  const { weight } = result;
  const name = match?.weightName ?? weight?.name ?? node.inputs[1];
  const info: LayerInfo = {
    id: place + node.id,
    node: node.name,
    op: node.opType,
    weight: name,
    shape: match ? { in: match.in, out: match.out } : refusedShape(node, result),
    dtype: weight?.dtype ?? '',
    location: weight?.location ?? null,
    bytes: weight ? bytesOf(weight) : 0,
    ...(weight &&
      weight.dtype !== weight.tensor.dtype && {
        stored: { dtype: weight.tensor.dtype, bytes: storedBytes(weight) },
      }),
    weightKey: match ? weightKey(match) : null,
    input: node.inputs[0],
    bias: match?.bias !== undefined,
    activation: match?.activation ?? 'none',
    fused: match ? match.nodes.slice(1).map(({ id }) => id) : [],
    ...(nearMiss && { nearMiss }),
    ...(isRefusal(result) && { reason: result.reason }),
  };
  return { info, ...(match && { match }) };
}

function describeRecognition(recognition: Recognition): Layer {
  const { structure, nodes, dtype, graph, input, bias, activation, factorType, key } = recognition;
  const tensors = [...new Map(structure.parts.flatMap(tensorsOf).map((each) => [each.name, each])).values()];
  const info: LayerInfo = {
    id: graph.place + nodes[0].id,
    node: nodes[0].name,
    op: nodes[0].opType,
    weight: tensors[0].name,
    shape: { in: structure.in, out: structure.out },
    dtype,
    location: tensors[0].location,
    bytes: tensors.reduce((sum, { tensor }) => sum + tensor.bytes, 0),
    weightKey: key,
    input,
    bias: bias !== undefined,
    activation,
    fused: nodes.slice(1).map(({ id }) => id),
    factorized: {
      spec: structure.spec,
      factorType,
      interleaved: structure.interleaved,
      weights: tensors.map(({ name }) => name),
    },
  };
  return { info, recognition };
}

function bytesOf({ tensor, conversions }: Constant): number {
  return [tensor, ...conversions.flatMap(({ tensors }) => tensors)].reduce(
    (sum, { bytes }) => sum + bytes,
    0,
  );
}

/** Of a weight that stays dense for other reasons than its form. */
function refusedShape(node: Node, result: Match | Refusal): LayerInfo['shape'] {
  const { weight } = result;
  if (weight?.dims.length !== 2 || !isReadOnTheRight(node, result)) return null;
  const [rows, columns] = weight.dims;
  const isOutIn = node.opType !== 'MatMul' && node.int('transB', 0) !== 0;
  return isOutIn ? { in: columns, out: rows } : { in: rows, out: columns };
}

function isReadOnTheRight(node: Node, result: Match | Refusal): boolean {
  return isRefusal(result) && result.reason.code !== 'weight-on-the-left' && node.inputs.length > 1;
}

/** Equal where the same stored numbers are used the same way. */
function weightKey({ weight, storedOutIn, scale }: Match): string {
  return `${weight.graph.place}${weight.name}${formOf(weight)}${storedOutIn ? ' transposed' : ''}${scale === 1 ? '' : ` times ${scale}`}`;
}

/** Products in the model's own functions: listed, with where they are. */
function functionProducts(model: Model): Layer[] {
  return [...model.functions].flatMap(([name, body]) =>
    body
      .within()
      .flatMap((graph) => graph.nodes.filter(isProduct).map((node) => refusedProduct(node, graph, name))),
  );
}

function refusedProduct(node: Node, graph: Graph, name: string): Layer {
  const operand = node.inputs[1] ?? '';
  const weight = findConstant(graph, operand);
  const refusal = weight
    ? refuse('inside-subgraph', `${node.label} is in the function ${name}, where nothing is rewritten yet.`)
    : refuse('weight-not-constant', `'${operand}' of ${node.label} in the function ${name} is computed.`);
  const { info } = describe({ node, graph }, weight ? { ...refusal, weight } : refusal);
  return { info: { ...info, id: `${name}/${info.id}` } };
}

/** Bodies may hold different weights of one name. */
function withUniqueKeys(layers: readonly Layer[]): Layer[] {
  const owners = new Map<string, Message>();
  return layers.map((layer) => {
    const { match, recognition } = layer;
    const message = match?.weight.tensor.message ?? recognition?.structure.parts[0].V.tensor.tensor.message;
    let key = layer.info.weightKey;
    if (message === undefined || key === null) return layer;
    while ((owners.get(key) ?? message) !== message) key += "'";
    owners.set(key, message);
    return { ...layer, info: { ...layer.info, weightKey: key } };
  });
}

function withUniqueIds(layers: readonly Layer[]): Layer[] {
  const count = new Map<string, number>();
  for (const { info } of layers) count.set(info.id, (count.get(info.id) ?? 0) + 1);
  const used = new Set<string>();
  return layers.map((layer, position) => {
    let id = layer.info.id;
    if (count.get(id)! > 1) id = `${id}#${position}`;
    while (used.has(id)) id += "'";
    used.add(id);
    return { ...layer, info: { ...layer.info, id } };
  });
}
