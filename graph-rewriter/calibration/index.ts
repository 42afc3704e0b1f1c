import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { BlockrankError } from '../errors.js';
import { loadOnnxRuntime } from '../onnxruntime.js';
import { Accumulator, type Covariance } from './accumulator.js';
import { readNames } from './names.js';
import { gramOutput, rowsOutput, tapModel } from './tap.js';

export type { Covariance } from './accumulator.js';

export type Feeds = Readonly<Record<string, Ort.Tensor>>;

export interface CollectRequest {
  readonly modelPath: string;
  /** Names of the tensors that enter the layers (`LayerInfo.input`). Repeated names are collected once. */
  readonly tensors: readonly string[];
  /** One set of model inputs for each run. */
  readonly inputs: AsyncIterable<Feeds> | Iterable<Feeds>;
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
  const bytes = await readModel(request.modelPath);
  const names = readNames(bytes);
  const tensors = [...new Set(request.tensors)];
  for (const name of tensors) {
    if (names.graph.has(name) || names.subgraphs.has(name)) continue;
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `${request.modelPath} has no tensor '${name}' to calibrate on`,
    );
  }
  const tapped = tensors.filter((name) => names.graph.has(name));
  const sums = tensors.map((name) => new Accumulator(name));
  const taps = sums.filter(({ tensor }) => names.graph.has(tensor));
  if (taps.length > 0) await runAll(request, tapModel(bytes, tapped, names.opset), taps);
  return new Map(sums.map((sum) => [sum.tensor, sum.covariance()]));
}

async function runAll(
  request: CollectRequest,
  model: Uint8Array,
  taps: readonly Accumulator[],
): Promise<void> {
  const session = await createSession(request, model);
  const fetches = taps.flatMap((_, index) => [gramOutput(index), rowsOutput(index)]);
  let batch = 0;
  try {
    for await (const feeds of request.inputs) {
      stopIfAborted(request.signal);
      const results = await run(session, feeds, fetches, batch);
      taps.forEach((tap, index) => {
        const gram = results[gramOutput(index)].data as Float32Array;
        const [rows, size] = results[rowsOutput(index)].data as BigInt64Array;
        tap.add(gram, Number(rows), Number(size), batch);
      });
      batch++;
      request.onProgress?.(batch);
    }
    stopIfAborted(request.signal);
  } finally {
    await session.release();
  }
}

/** A model given as bytes looks for external data in the working directory unless told where its file was. */
async function createSession({ modelPath, sessionOptions }: CollectRequest, model: Uint8Array) {
  const ort = loadOnnxRuntime();
  const extra = (sessionOptions?.extra ?? {}) as { session?: Record<string, unknown> };
  const folder = dirname(resolve(modelPath));
  try {
    return await ort.InferenceSession.create(model, {
      logSeverityLevel: 3,
      ...sessionOptions,
      extra: {
        ...extra,
        session: { model_external_initializers_file_folder_path: folder, ...extra.session },
      },
    });
  } catch (cause) {
    throw new BlockrankError('SESSION', `${modelPath} could not be run for calibration: ${String(cause)}`, {
      cause,
    });
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

async function readModel(path: string): Promise<Uint8Array> {
  try {
    const { buffer, byteOffset, length } = await readFile(path);
    return new Uint8Array(buffer, byteOffset, length);
  } catch (cause) {
    throw new BlockrankError('IO', `${path} could not be read: ${String(cause)}`, { cause });
  }
}

function stopIfAborted(signal?: AbortSignal): void {
  if (signal?.aborted)
    throw new BlockrankError('ABORTED', 'calibration was aborted', { cause: signal.reason });
}
