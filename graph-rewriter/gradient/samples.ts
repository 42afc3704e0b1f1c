// Single samples of calibration batches: a backward pass holds what every node made for all samples of its run.
import type { Feeds } from '../calibration/index.js';
import type { Model } from '../model.js';
import { loadOnnxRuntime } from '../onnxruntime.js';
import type { Message } from '../wire/message.js';
import { positionInputs } from './observed.js';
import { DIMENSION, GRAPH, SHAPE, TENSOR_TYPE, TYPE, VALUE_INFO } from '../schema.js';

/** The model takes tokens, [batch, positions], and every input's first axis is open: that of the batch, as far as feeds agree. */
export function hasSamples(model: Model): boolean {
  const { inputs } = model.graph;
  const isOpen = (info: Message) => {
    const shape = info.message(VALUE_INFO.type)?.message(TYPE.tensor)?.message(TENSOR_TYPE.shape);
    return shape !== undefined && !shape.messages(SHAPE.dim).at(0)?.has(DIMENSION.value);
  };
  const declared = model.graph.message
    .messages(GRAPH.input)
    .filter((info) => inputs.has(info.string(VALUE_INFO.name)));
  return positionInputs(model).tokens !== undefined && declared.every(isOpen);
}

/** One feed for each sample, on the same numbers; the feeds themselves where they are not all of one number of samples. */
export function samplesOf(feeds: Feeds): Feeds[] {
  const tensors = Object.entries(feeds);
  const count = tensors[0]?.[1].dims[0] ?? 1;
  const isSplit = tensors.every(([, { dims, data }]) => dims[0] === count && !Array.isArray(data));
  if (!isSplit || count < 2) return [feeds];
  const { Tensor } = loadOnnxRuntime();
  return Array.from({ length: count }, (_, sample) =>
    Object.fromEntries(
      tensors.map(([name, { type, dims, data }]) => {
        const numbers = data as Float32Array;
        const size = numbers.length / count;
        const own = numbers.subarray(sample * size, (sample + 1) * size);
        return [name, new Tensor(type as 'float32', own, [1, ...dims.slice(1)])];
      }),
    ),
  );
}

/** An order of 0 … count − 1 of which every beginning is spread over the whole: by reversed bits (van der Corput). */
export function spread(count: number): number[] {
  const bits = Math.ceil(Math.log2(Math.max(count, 1)));
  const reversed = (index: number) => {
    let result = 0;
    for (let bit = 0; bit < bits; bit++) result = 2 * result + ((index >> bit) & 1);
    return result;
  };
  return Array.from({ length: 2 ** bits }, (_, index) => reversed(index)).filter((index) => index < count);
}
