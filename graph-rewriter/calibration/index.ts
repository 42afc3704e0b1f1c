import type * as Ort from 'onnxruntime-node';
import { BlockrankError } from '../errors.js';
import { findExternalTensors } from '../external-tensors.js';
import { openModel } from '../inline/index.js';
import type { Move } from '../moves.js';
import { Accumulator, type Covariance } from './accumulator.js';
import { type Observable, observableTensors } from './observable.js';
import { maskInput } from './mask.js';
import { canMask, gramOutput, keptOutput, rowsOutput, tapFields } from './tap.js';
import { createTappedSession, type TappedModel } from './tapped-session.js';

export type { Covariance } from './accumulator.js';

export type Feeds = Readonly<Record<string, Ort.Tensor>>;

/** As `LayerInfo` has it: a tensor's name, and what brings its features to the last axis. */
export interface ObservedInput {
  readonly input: string;
  readonly inputMoves?: readonly Move[];
}

/** Key of what a layer sees in the result of `collectCovariances`: the tensor's name where that is all. */
export function inputKey({ input, inputMoves }: ObservedInput): string {
  return inputMoves === undefined ? input : `${input} ${JSON.stringify(inputMoves)}`;
}

export interface CollectRequest {
  readonly modelPath: string;
  /** The tensors that enter the layers: names, or `LayerInfo`s. Repeated ones are collected once. */
  readonly tensors: readonly (string | ObservedInput)[];
  /** One set of model inputs for each run. */
  readonly inputs: AsyncIterable<Feeds> | Iterable<Feeds>;
  /**
   * The model input whose zeros mark rows to leave out, in tensors of as many rows as it has numbers; `attention_mask` where
   * the model has one when absent, false for none. Below opset 9 every row counts.
   */
  readonly mask?: string | false;
  /** For the session that runs the original model. */
  readonly sessionOptions?: Ort.InferenceSession.SessionOptions;
  readonly signal?: AbortSignal;
  /** Called after each run with the number of runs done. */
  readonly onProgress?: (batches: number) => void;
}

/**
 * C = E[x xᵀ] over the rows of each tensor (all its axes but the last), from running the original model.
 *
 * Each run sums its rows by a product in the model's own session, in float32; runs are summed in double. A tensor that lives
 * in a subgraph, or that no run produced a row of, comes back with `samples` 0 and no matrix.
 */
export async function collectCovariances(request: CollectRequest): Promise<Map<string, Covariance>> {
  const { modelPath } = request;
  const { names, opset, external, mask } = describe(modelPath, request.mask);
  const inputs = request.tensors.map((tensor) => (typeof tensor === 'string' ? { input: tensor } : tensor));
  const distinct = new Map(inputs.map((input) => [inputKey(input), input]));
  for (const { input } of distinct.values()) {
    if (names.graph.has(input) || names.bodies.has(input)) continue;
    throw new BlockrankError('INVALID_ARGUMENT', `${modelPath} has no tensor '${input}' to calibrate on`);
  }
  const sums = [...distinct.keys()].map((key) => new Accumulator(key));
  const tapped = sums.filter(({ tensor }) => names.graph.has(distinct.get(tensor)!.input));
  if (tapped.length > 0) {
    const observed = tapped.map(({ tensor }) => {
      const { input, inputMoves = [] } = distinct.get(tensor)!;
      return { tensor: input, moves: inputMoves };
    });
    const taps = tapFields(observed, opset, mask);
    await runAll(request, { path: modelPath, taps, external }, tapped, mask !== undefined);
  }
  return new Map(sums.map((sum) => [sum.tensor, sum.covariance()]));
}

interface Description {
  readonly names: Observable;
  readonly opset: number;
  readonly external: boolean;
  readonly mask: string | undefined;
}

function describe(path: string, asked: CollectRequest['mask']): Description {
  const model = openModel(path);
  try {
    const external = findExternalTensors(model).length > 0;
    const { graph, opset } = model;
    const mask = canMask(opset) ? maskInput(graph.inputs, asked) : undefined;
    return { names: observableTensors(graph), opset, external, mask };
  } finally {
    model.close();
  }
}

async function runAll(
  request: CollectRequest,
  model: TappedModel,
  taps: readonly Accumulator[],
  masked: boolean,
): Promise<void> {
  const session = await createTappedSession(model, request.sessionOptions);
  const fetches = taps.flatMap((_, index) => [
    gramOutput(index),
    rowsOutput(index),
    ...(masked ? [keptOutput(index)] : []),
  ]);
  let batch = 0;
  try {
    for await (const feeds of request.inputs) {
      stopIfAborted(request.signal);
      const results = await run(session, feeds, fetches, batch);
      taps.forEach((tap, index) => {
        const gram = results[gramOutput(index)].data as Float32Array;
        const [rows, size] = results[rowsOutput(index)].data as BigInt64Array;
        const kept = masked ? (results[keptOutput(index)].data as Float32Array)[0] : Number(rows);
        tap.add(gram, kept, Number(size), batch);
      });
      batch++;
      request.onProgress?.(batch);
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
