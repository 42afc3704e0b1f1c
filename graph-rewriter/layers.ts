// Every matrix product of a model, in graph order, with the match or the reason that the rules give.
import { type Constant, findConstant, formOf, storedBytes } from './constants.js';
import { expectFeatures } from './declared-features.js';
import { BlockrankError } from './errors.js';
import type { Graph } from './graph.js';
import { DOMAIN, type Model } from './model.js';
import type { Node } from './node.js';
import { tensorsOf } from './recognise/factor-type.js';
import { type Recognition, recognise } from './recognise/index.js';
import { isRefusal, type Match, type Refusal, refuse } from './rule.js';
import { isProduct, matchProduct } from './rules/index.js';
import { markTied } from './rules/tied.js';
import type { LayerInfo, Reason, ReasonCode } from './types.js';
import type { Message } from './wire/message.js';

export interface Layer {
  readonly info: LayerInfo;
  /** A dense product that can be replaced: absent where `info.reason` is there, unless the weight is tied. */
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
  const results = markTied(
    products.map(({ node, graph, nearMiss }) =>
      isProduct(node) ? matchProduct(node, graph) : { reason: nearMiss! },
    ),
    model.trainingNames(),
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
  if (!node.inputs[0] || !node.inputs[1] || node.outputs.length !== 1 || node.outputs[0] === '')
    throw new BlockrankError(
      'INVALID_MODEL',
      `${node.label} has ${node.inputs.length} inputs and ${node.outputs.length} outputs; a product has two or more, the first two named, and one.`,
    );
}

function describe({ node, graph, nearMiss }: Product, result: Match | Refusal): Layer {
  const match = isRefusal(result) ? undefined : result;
  if (match && match.before === undefined) expectFeatures(graph, node, match.input, match.in);
  const { weight } = result;
  const name = match?.weightName ?? weight?.name ?? node.inputs[1];
  const info: LayerInfo = {
    id: graph.place + node.id,
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
    input: match?.input ?? node.inputs[0],
    ...(graph.place !== '' && { place: graph.place }),
    ...movesOf(match),
    bias: match?.bias !== undefined,
    activation: match?.activation ?? 'none',
    fused: match ? match.nodes.slice(1).map(({ id }) => id) : [],
    ...(nearMiss && { nearMiss }),
    ...reasonOf(result),
  };
  return { info, ...(match && { match }) };
}

function describeRecognition(recognition: Recognition): Layer {
  const { structure, nodes, dtype, graph, input, bias, activation, factorType, key } = recognition;
  expectFeatures(graph, nodes[0], input, structure.in);
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
    ...(graph.place !== '' && { place: graph.place }),
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

function reasonOf(result: Match | Refusal): Pick<LayerInfo, 'reason'> {
  const reason = isRefusal(result) ? result.reason : result.tied;
  return reason ? { reason } : {};
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
  const isOutIn = node.int('transB', 0) !== 0;
  return isOutIn ? { in: columns, out: rows } : { in: rows, out: columns };
}

const LEFT: readonly ReasonCode[] = ['weight-on-the-left', 'shape-unknown'];

function isReadOnTheRight(node: Node, result: Match | Refusal): boolean {
  if (!isRefusal(result) || !/(MatMul|Gemm)$/.test(node.opType)) return false;
  return !LEFT.includes(result.reason.code);
}

/** An Einsum transposes by itself where it is dense, too. */
function movesOf(match: Match | undefined): Pick<LayerInfo, 'inputMoves' | 'transposes'> {
  if (match?.before === undefined) return {};
  const isMoved = match.before.some((move) => 'transpose' in move) && !match.nodes[0].is('Einsum');
  return { inputMoves: match.before, ...(isMoved && { transposes: true }) };
}

/** Equal where the same stored numbers are used the same way. */
function weightKey({ weight, storedOutIn, scale, axes, in: inputs, out }: Match): string {
  const order = axes
    ? ` by steps of ${axes.map(({ stride }) => stride).join()}`
    : storedOutIn
      ? ' transposed'
      : '';
  const shape = weight.dims.length === 2 ? '' : ` for [${inputs}, ${out}]`;
  return `${weight.graph.place}${weight.name}${formOf(weight)}${order}${shape}${scale === 1 ? '' : ` times ${scale}`}`;
}

/** Products in functions that are left: nothing calls them, or they could not be inlined (inline/index.ts). */
function functionProducts(model: Model): Layer[] {
  const others = [...model.functions].filter(([name]) => !name.startsWith(`${DOMAIN}.`));
  return others.flatMap(([name, body]) =>
    body
      .within()
      .flatMap((graph) => graph.nodes.filter(isProduct).map((node) => refusedProduct(node, graph, name))),
  );
}

function refusedProduct(node: Node, graph: Graph, name: string): Layer {
  const operand = node.inputs[1] ?? '';
  const weight = findConstant(graph, operand);
  const refusal = weight
    ? refuse(
        'inside-subgraph',
        `${node.label} is in the function ${name}, which nothing calls, or which has other opsets than the model.`,
      )
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
