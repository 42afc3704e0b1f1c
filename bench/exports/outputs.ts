// Runs one model after another on the same random input, so that memory holds one session at a time.
import type { Tensor } from 'onnxruntime-node';
import { halfToNumber } from '../../src/inputs/half.js';
import { loadDataSets, type ModelInput, readModelInputs, type Shapes } from '../../src/inputs/index.js';
import { openSession } from '../../src/inputs/open-session.js';
import { withPlugin } from '../../src/validation/plugin.js';

export type Outputs = Readonly<Record<string, Tensor>>;

/** The outputs for each of `count` samples. */
export async function outputsOf(path: string, plugin: boolean, count: number): Promise<Outputs[]> {
  const session = await withPlugin(plugin, () => openSession(path));
  try {
    const inputs = readModelInputs(session, path);
    const sets = loadDataSets(inputs, session.outputNames, { shapes: smallShapes(inputs), count });
    const outputs: Outputs[] = [];
    for await (const set of sets) outputs.push(await session.run(set.inputs));
    return outputs;
  } finally {
    await session.release();
  }
}

/** `difference` for each sample. */
export const differences = (reference: readonly Outputs[], candidate: readonly Outputs[]) =>
  reference.map((outputs, sample) => difference(outputs, candidate[sample]));

/**
 * The largest difference of any output, as a share of that output's largest value, or of 1 where that is smaller (probabilities
 * near 0); infinite where shapes or types differ, or anything is not finite.
 */
function difference(reference: Outputs, candidate: Outputs): number {
  return Math.max(...Object.entries(reference).map(([name, tensor]) => distance(tensor, candidate[name])));
}

function distance(reference: Tensor, candidate: Tensor): number {
  const described = ({ type, dims }: Tensor) => `${type} ${dims.join()}`;
  if (described(reference) !== described(candidate)) return Infinity;
  const [a, b] = [numbersOf(reference), numbersOf(candidate)];
  let [most, scale] = [0, 1];
  for (let i = 0; i < a.length; i++) {
    const error = Math.abs(a[i] - b[i]);
    if (!Number.isFinite(error)) return Infinity;
    most = Math.max(most, error);
    scale = Math.max(scale, Math.abs(a[i]));
  }
  return most / scale;
}

function numbersOf({ type, data }: Tensor): Float64Array {
  const widen = type === 'float16' ? halfToNumber : Number;
  return Float64Array.from(data as Iterable<number>, widen);
}

/** One sample of 16 tokens after 8 in the cache, or 64 × 64 pixels; equal symbols get equal sizes. */
function smallShapes(inputs: readonly ModelInput[]): Shapes {
  const sizes = new Map<string, number>();
  const sizeOf = (symbol: string, axis: number, rank: number) => {
    if (!sizes.has(symbol)) sizes.set(symbol, openSize(symbol, axis, rank));
    return sizes.get(symbol)!;
  };
  return Object.fromEntries(
    inputs.map(({ name, shape }) => [
      name,
      (shape ?? []).map((dim, axis, { length }) =>
        typeof dim === 'number' ? dim : sizeOf(dim, axis, length),
      ),
    ]),
  );
}

function openSize(symbol: string, axis: number, rank: number): number {
  if (axis === 0) return 1;
  if (/past/i.test(symbol)) return symbol.includes('+') ? 24 : 8;
  return rank === 4 ? 64 : 16;
}
