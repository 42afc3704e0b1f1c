// The way back: every ai.blockrank node becomes a plain MatMul again.
import { throwIfAborted } from './abort.js';
import { constantNumbers, findConstant } from './constants.js';
import { denseTransposed } from './dense-weight.js';
import { externalBytes, findExternalTensors } from './external-tensors.js';
import { defaultEngine } from './factorize/engine.js';
import { encodeFloats } from './floats.js';
import { emitActivation } from './functions/activation.js';
import { NodeBuilder } from './functions/builder.js';
import type { Graph } from './graph.js';
import { DOMAIN, Model } from './model.js';
import { removeFunctions, setMetadata } from './model-edit.js';
import { Names } from './names.js';
import { factorNumbers, readStructuredNode, type StructuredNode } from './structured-node.js';
import { type Swap, swapNodes } from './swap.js';
import { TensorStore } from './tensor-store.js';
import {
  type DensifyOptions,
  type DensifyReport,
  FLOAT_FACTOR_TYPES,
  type FloatFactorType,
} from './types.js';
import { declaredTypes } from './value-type.js';
import { Edit } from './wire/edit.js';
import { checkTarget, INLINE_LIMIT, writeModel } from './write-model.js';

/** Writes a model of standard operators only. Throws INVALID_MODEL, UNSUPPORTED_MODEL, EXTERNAL_DATA, IO, ABORTED. */
export async function densifyModel(
  source: string,
  target: string,
  options: DensifyOptions = {},
): Promise<DensifyReport> {
  checkTarget(source, target, options.overwrite ?? false);
  const model = Model.open(source);
  let store: TensorStore | undefined;
  try {
    const nodes = model.graph
      .within()
      .flatMap((graph) => graph.nodes.map((node) => ({ node, graph })))
      .filter(({ node }) => node.domain === DOMAIN)
      .map(({ node, graph }) => readStructuredNode(node, graph));
    const bytesBefore = model.source.size + externalBytes(model);
    store = await TensorStore.create(target, isExternal(model, nodes, bytesBefore));
    const swaps = await makeDense(model, store, nodes, options);
    const edit = new Edit();
    const removed = swapNodes(edit, swaps);
    removeFunctions(edit, model);
    setMetadata(edit, model, {});
    const bytesAfter = await writeModel(model, edit, target, store, removed);
    return { source, target, bytesBefore, bytesAfter, nodes: nodes.map(({ node }) => node.name) };
  } catch (error) {
    await store?.discard();
    throw error;
  } finally {
    await store?.close();
    model.close();
  }
}

async function makeDense(
  model: Model,
  store: TensorStore,
  nodes: readonly StructuredNode[],
  { signal, onProgress }: DensifyOptions,
): Promise<Swap[]> {
  const names = new Names(model.graph);
  const types = new Map(model.graph.within().map((graph) => [graph, declaredTypes(graph)]));
  const weights = new Map<string, string>();
  const swaps: Swap[] = [];
  for (const structured of nodes) {
    throwIfAborted(signal);
    const { node, graph, factors } = structured;
    const type = valueType(structured, types);
    const tensors = Object.values(factors).map((factor) => factor?.tensor.message.start);
    const key = [type, structured.interleaved, ...tensors].join();
    const weight = weights.get(key) ?? (await storeWeight(structured, type, store, names));
    weights.set(key, weight);
    swaps.push({ graph, old: [node], replacements: denseNodes(structured, weight, type, model, names) });
    onProgress?.(swaps.length, nodes.length, node.name);
  }
  return swaps;
}

async function storeWeight(
  { spec, factors, interleaved }: StructuredNode,
  type: FloatFactorType,
  store: TensorStore,
  names: Names,
): Promise<string> {
  const { V } = factors;
  const numbers = factorNumbers(spec, factors);
  const name = names.unique(V!.name.endsWith('.V') ? V!.name.slice(0, -2) : `${V!.name}.dense`);
  const bytes = encodeFloats(await denseTransposed(defaultEngine(), numbers, interleaved), type);
  await store.add({ name, dims: [spec.in, spec.out], type }, bytes);
  return name;
}

function denseNodes(
  { node, graph, activation, bias }: StructuredNode,
  weight: string,
  type: FloatFactorType,
  { opset }: Model,
  names: Names,
) {
  const b = new NodeBuilder(opset, `${names.unique(`${node.outputs[0]}.dense`)}.`);
  let y = b.op('MatMul', [node.inputs[0], weight]);
  if (bias !== undefined && !isZero(graph, bias)) y = b.op('Add', [y, bias]);
  emitActivation(b, activation, y, (value) => b.float(value, type));
  b.renameLast(node.outputs[0]);
  b.nodes[0].name = node.name;
  return b.nodes;
}

/** The zero that a node without a bias passes to a function that takes one. */
function isZero(graph: Graph, bias: string): boolean {
  const constant = findConstant(graph, bias);
  return constant?.tensor.count === 1 && constantNumbers(constant)[0] === 0;
}

/** What the graph declares for X, Y or a constant bias, else the factors' own type. */
function valueType(
  { node, graph, bias, factors }: StructuredNode,
  types: ReadonlyMap<Graph, ReadonlyMap<string, string>>,
): FloatFactorType {
  const declared = (name: string) => types.get(graph.definerOf(name))?.get(name);
  const biasType = bias === undefined ? undefined : findConstant(graph, bias)?.dtype;
  const type = declared(node.inputs[0]) ?? declared(node.outputs[0]) ?? biasType ?? factors.V!.dtype;
  return FLOAT_FACTOR_TYPES.find((known) => known === type) ?? 'float32';
}

function isExternal(model: Model, nodes: readonly StructuredNode[], bytes: number): boolean {
  const dense = nodes.reduce((sum, { spec }) => sum + 4 * spec.in * spec.out, 0);
  return findExternalTensors(model).length > 0 || bytes + dense > INLINE_LIMIT;
}
