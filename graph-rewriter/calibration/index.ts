import type * as Ort from 'onnxruntime-node';
import { BlockrankError } from '../errors.js';
import { findExternalTensors } from '../external-tensors.js';
import { openModel } from '../inline/index.js';
import type { Model } from '../model.js';
import type { Move } from '../moves.js';
import { Accumulator, type Covariance } from './accumulator.js';
import { maskInput } from './mask.js';
import { canMask } from './mask-nodes.js';
import { barrier, graphAt, seesValue } from './places.js';
import { namesOf, sumsOf } from './tap.js';
import { type Tap, withTaps } from './tapped-model.js';
import { createTappedSession, type TappedModel } from './tapped-session.js';

export type { Covariance } from './accumulator.js';

export type Feeds = Readonly<Record<string, Ort.Tensor>>;

/** As `LayerInfo` has it: where the layer lies, a tensor's name there, and what brings its features to the last axis. */
export interface ObservedInput {
  readonly input: string;
  readonly place?: string;
  readonly inputMoves?: readonly Move[];
  /** Only its `in`, the length of a row, and only in the body of a Scan. */
  readonly shape?: { readonly in: number } | null;
}

/** Key of what a layer sees in the result of `collectCovariances`: the tensor's name where that is all. */
export function inputKey({ input, place = '', inputMoves }: ObservedInput): string {
  const where = place === '' ? '' : ` in ${place}`;
  return `${input}${where}${inputMoves === undefined ? '' : ` ${JSON.stringify(inputMoves)}`}`;
}

export interface CollectRequest {
  readonly modelPath: string;
  /** The tensors that enter the layers: names in the main graph, or `LayerInfo`s. Repeated ones are collected once. */
  readonly tensors: readonly (string | ObservedInput)[];
  /** One set of model inputs for each run. */
  readonly inputs: AsyncIterable<Feeds> | Iterable<Feeds>;
  /**
   * The model input whose zeros mark rows to leave out, in tensors of as many rows as it has numbers; `attention_mask` where
   * the model has one when absent, false for none. Below opset 9 every row counts.
   */
  readonly mask?: string | false;
  /** Runs end once every tensor has so many rows for each of its features; all inputs are run when absent. */
  readonly rowsPerFeature?: number;
  /** For the session that runs the original model. */
  readonly sessionOptions?: Ort.InferenceSession.SessionOptions;
  readonly signal?: AbortSignal;
  /** Called after each run with the number of runs done. */
  readonly onProgress?: (batches: number) => void;
}

/**
 * C = E[x xᵀ] over the rows of each tensor (all its axes but the last), from running the original model.
 *
 * Each run sums its rows by a product in the model's own session, in float32; runs are summed in double. In a body of If, Loop
 * or Scan the rows of each time that the body runs count, also of a tensor that it captures. A tensor that no run produced a row
 * of, or that lies in the body of another operator, comes back with `samples` 0 and no matrix.
 */
export async function collectCovariances(request: CollectRequest): Promise<Map<string, Covariance>> {
  const { modelPath } = request;
  const inputs = request.tensors.map((tensor) => (typeof tensor === 'string' ? { input: tensor } : tensor));
  const distinct = new Map(inputs.map((input) => [inputKey(input), input]));
  const { reached, external, mask } = describe(modelPath, distinct, request.mask);
  const sums = [...distinct.keys()].map((key) => new Accumulator(key));
  const tapped = sums.filter(({ tensor }) => reached.has(tensor));
  if (tapped.length > 0) {
    const taps = tapped.map(({ tensor }) => tapOf(distinct.get(tensor)!));
    const model = { path: modelPath, external, tapped: (model: Model) => withTaps(model, taps, mask) };
    await runAll(request, model, tapped);
  }
  return new Map(sums.map((sum) => [sum.tensor, sum.covariance()]));
}

function tapOf({ input, place = '', inputMoves = [], shape }: ObservedInput): Tap {
  return { tensor: input, place, moves: inputMoves, size: shape?.in ?? 0 };
}

interface Description {
  /** Keys of the inputs that a tap can observe. */
  readonly reached: ReadonlySet<string>;
  readonly external: boolean;
  readonly mask: string | undefined;
}

function describe(
  path: string,
  inputs: ReadonlyMap<string, ObservedInput>,
  asked: CollectRequest['mask'],
): Description {
  const model = openModel(path);
  try {
    const external = findExternalTensors(model).length > 0;
    const { graph, opset } = model;
    const mask = canMask(opset) ? maskInput(graph.inputs, asked) : undefined;
    const reached = [...inputs].filter(([, input]) => isReached(model, input)).map(([key]) => key);
    return { reached: new Set(reached), external, mask };
  } finally {
    model.close();
  }
}

/** @throws BlockrankError INVALID_ARGUMENT where there is no such tensor */
function isReached(model: Model, { input, place = '', shape }: ObservedInput): boolean {
  const graph = graphAt(model.graph, place);
  const where = place === '' ? '' : ` at ${place}`;
  if (graph === undefined || !seesValue(graph, input))
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `${model.source.path} has no tensor '${input}'${where} to calibrate on; tensors in bodies are given as LayerInfos`,
    );
  return barrier(graph, model.opset) === undefined && (place === '' || shape?.in !== undefined);
}

async function runAll(
  request: CollectRequest,
  model: TappedModel,
  taps: readonly Accumulator[],
): Promise<void> {
  const session = await createTappedSession(model, request.sessionOptions);
  const fetches = taps.flatMap((_, index) => namesOf(sumsOf(index)));
  let batch = 0;
  try {
    for await (const feeds of request.inputs) {
      stopIfAborted(request.signal);
      const results = await run(session, feeds, fetches, batch);
      taps.forEach((tap, index) => {
        const { gram, count } = sumsOf(index);
        const [rows] = results[count].data as BigInt64Array;
        tap.add(results[gram].data as Float32Array, Number(rows), results[gram].dims[0], batch);
      });
      batch++;
      request.onProgress?.(batch);
      if (taps.every((tap) => tap.rowsPerFeature >= (request.rowsPerFeature ?? Infinity))) break;
    }
    stopIfAborted(request.signal);
  } finally {
    await session.release();
  }
}

async function run(session: Ort.InferenceSession, feeds: Feeds, fetches: string[], batch: number) {
  try {
    return await session.run(feeds, fetches);
  } catch (cause) {
    const wanted = session.inputNames.join(', ');
    throw new BlockrankError(
      'INVALID_INPUTS',
      `calibration batch ${batch} could not be run (the model's inputs are ${wanted}): ${String(cause)}`,
      { cause },
    );
  }
}

function stopIfAborted(signal?: AbortSignal): void {
  if (signal?.aborted)
    throw new BlockrankError('ABORTED', 'calibration was aborted', { cause: signal.reason });
}
