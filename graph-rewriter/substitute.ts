// Gives layers of a model other dense weights, e.g. what they are after quantization.
import { throwIfAborted } from './abort.js';
import { externalBytes, findExternalTensors } from './external-tensors.js';
import type { DenseWeight } from './factorize/types.js';
import { findLayers } from './layers.js';
import { openModel } from './inline/index.js';
import { Names } from './names.js';
import { RefitLayers } from './refit-layers.js';
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
 * Writes `target`: the model `source`, where layers to which `values` gives a new weight ([out, in], as `DenseWeight`) multiply by it, in the type of the old one;
 * undefined leaves a layer. For products without Transposes around them, as `visitPairs` gives them.
 * @throws BlockrankError INVALID_MODEL, EXTERNAL_DATA, IO, ABORTED, and what `values` throws
 */
export async function substituteWeights(
  source: string,
  target: string,
  values: (layer: LayerInfo, weight: DenseWeight) => Float32Array | undefined,
  { signal, overwrite = false }: SubstituteOptions = {},
): Promise<void> {
  checkTarget(source, target, overwrite);
  const model = openModel(source);
  let store: TensorStore | undefined;
  try {
    const size = model.file.size + externalBytes(model);
    store = await TensorStore.create(target, findExternalTensors(model).length > 0 || size > INLINE_LIMIT);
    const layers = findLayers(model).flatMap(({ info, match }) => (match ? [{ info, match }] : []));
    const matches = new Map(layers.map(({ info, match }) => [info.id, match]));
    const refits = new RefitLayers(
      (layer) => {
        const weight = readWeight(matches.get(layer.id)!);
        return Promise.resolve('code' in weight ? undefined : values(layer, weight));
      },
      store,
      new Names(model.graph),
    );
    const swaps: Swap[] = [];
    for (const { info, match } of layers) {
      throwIfAborted(signal);
      const swap = await refits.get(info, match);
      if (swap !== undefined) swaps.push(swap);
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
