// Gives layers of a model other dense weights, e.g. what they are after quantization.
import onnxProto from 'onnx-proto';
import { throwIfAborted } from './abort.js';
import { externalBytes, findExternalTensors } from './external-tensors.js';
import type { DenseWeight } from './factorize/types.js';
import { encodeFloats } from './floats.js';
import { findLayers } from './layers.js';
import { Model } from './model.js';
import { Names } from './names.js';
import type { Node } from './node.js';
import type { Match } from './rule.js';
import { type Swap, swapNodes } from './swap.js';
import { TensorStore } from './tensor-store.js';
import type { LayerInfo } from './types.js';
import { readWeight } from './weight.js';
import { Edit } from './wire/edit.js';
import { checkTarget, INLINE_LIMIT, writeModel } from './write-model.js';

export interface SubstituteOptions {
  readonly signal?: AbortSignal;
  readonly overwrite?: boolean;
}

/**
 * Writes `target`: the model `source`, where `values` has given the layer a new weight ([out, in], as `DenseWeight`), in the type it
 * multiplies in. `values` is called once for each distinct weight; undefined leaves it. Other layers of that weight get the same.
 * @throws BlockrankError INVALID_MODEL, EXTERNAL_DATA, IO, ABORTED, and what `values` throws
 */
export async function substituteWeights(
  source: string,
  target: string,
  values: (layer: LayerInfo, weight: DenseWeight) => Float32Array | undefined,
  { signal, overwrite = false }: SubstituteOptions = {},
): Promise<void> {
  checkTarget(source, target, overwrite);
  const model = Model.open(source);
  let store: TensorStore | undefined;
  try {
    const size = model.source.size + externalBytes(model);
    store = await TensorStore.create(target, findExternalTensors(model).length > 0 || size > INLINE_LIMIT);
    const names = new Names(model.graph);
    const stored = new Map<string, string | undefined>();
    const swaps: Swap[] = [];
    for (const { info, match } of findLayers(model)) {
      throwIfAborted(signal);
      if (!match || info.weightKey === null) continue;
      const key = `${info.weightKey} ${readsOutIn(match.nodes[0])}`;
      if (!stored.has(key)) stored.set(key, await storeWeight(info, match, values, store, names));
      const name = stored.get(key);
      if (name !== undefined) swaps.push(withWeight(match, name));
    }
    const edit = new Edit();
    await writeModel(model, edit, target, store, swapNodes(edit, swaps));
  } catch (error) {
    await store?.discard();
    throw error;
  } finally {
    await store?.close();
    model.close();
  }
}

async function storeWeight(
  info: LayerInfo,
  match: Match,
  values: (layer: LayerInfo, weight: DenseWeight) => Float32Array | undefined,
  store: TensorStore,
  names: Names,
): Promise<string | undefined> {
  const weight = readWeight(match);
  if ('code' in weight) return undefined;
  const given = values(info, weight);
  if (given === undefined) return undefined;
  const { in: inputs, out } = match;
  const outIn = readsOutIn(match.nodes[0]);
  const type = match.weight.dtype === 'float16' ? 'float16' : 'float32';
  const name = names.unique(`${match.weightName}.substitute`);
  await store.add(
    { name, dims: outIn ? [out, inputs] : [inputs, out], type },
    encodeFloats(outIn ? given : transposed(given, out, inputs), type),
  );
  return name;
}

/** Whether the product reads its weight as [out, in]. */
function readsOutIn(node: Node): boolean {
  return node.opType !== 'MatMul' && node.int('transB', 0) !== 0;
}

function withWeight({ graph, nodes: [node] }: Match, name: string): Swap {
  const { source, start, end } = node.message;
  const copy = onnxProto.onnx.NodeProto.decode(source.read(start, end));
  copy.input[1] = name;
  // These are carried over from the old node.
  copy.docString = '';
  return { graph, old: [node], replacements: [copy] };
}

function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = data[row * columns + column];
  return result;
}
