// Runs the original and the rewritten model on the same inputs and compares every output.
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { type Device, optionsOn } from '../device.js';
import { loadDataSets, readModelInputs, type DataSet, type InputOptions } from '../inputs/index.js';
import { openSession } from '../inputs/open-session.js';
import { errorMessage, throwIfAborted, type OnProgress } from '../progress.js';
import { compareTensors, nothingCompared, type Tolerance, type TensorComparison } from './compare.js';
import { withPlugin } from './plugin.js';
import { timeAlternately, type Timing } from './timing.js';
import { tolerancesOf, type ToleranceOptions } from './tolerance.js';

export interface ValidateOptions extends ToleranceOptions {
  /** Real inputs (paths) or the shapes, seed and count of random ones. */
  readonly inputs?: InputOptions;
  /** For both sessions: execution providers, threads, optimization level, … */
  readonly sessionOptions?: ort.InferenceSession.SessionOptions;
  /** For both sessions, instead of `executionProviders`: as `createSession` has it, but the CPU when absent. */
  readonly device?: Device;
  /**
   * Whether the rewritten model runs with the custom ops; default true. Without them its own functions run. The original never
   * has them, so that a rewritten model validated against itself compares the kernels with its functions.
   */
  readonly plugin?: boolean;
  /** Timed runs of each model on the first data set, after two to warm up; 0 for no timing. Default 5. */
  readonly runs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export interface OutputComparison extends TensorComparison {
  readonly output: string;
  readonly dataSet: string;
  /** `expected`: the original's output beside the one that the data set states. */
  readonly compared: 'rewritten with original' | 'original with expected';
}

export interface ValidationReport {
  /** Every comparison passed. */
  readonly passed: boolean;
  readonly original: string;
  readonly rewritten: string;
  readonly plugin: boolean;
  readonly dataSets: readonly string[];
  readonly comparisons: readonly OutputComparison[];
  /** On the first data set; null where no timing was asked for. */
  readonly timing: (Timing & { readonly dataSet: string }) | null;
}

interface Pair {
  readonly original: ort.InferenceSession;
  readonly rewritten: ort.InferenceSession;
}

const WARM_UP = 2;
const RUNS = 5;

/**
 * Compares `rewritten` with `original`, both paths of ONNX models.
 * A failed comparison is a report with `passed: false`; that nothing could be compared is an error.
 * @throws BlockrankError INVALID_INPUTS, INVALID_ARGUMENT, SESSION, ORT_NOT_FOUND, ABORTED, or the loader's codes
 */
export async function validate(
  original: string,
  rewritten: string,
  options: ValidateOptions = {},
): Promise<ValidationReport> {
  const plugin = options.plugin ?? true;
  const { device, onProgress } = options;
  const sessionOptions = await optionsOn(device, options.sessionOptions, {
    needs: { kernels: plugin },
    onProgress,
  });
  onProgress?.({ step: 'opening models', done: 0, total: 1 });
  const pair = await openPair(original, rewritten, plugin, sessionOptions);
  try {
    requireSameInputs(pair);
    const compared = await compareAll(pair, original, options);
    requireSomethingCompared(compared.comparisons);
    const passed = compared.comparisons.every((comparison) => comparison.passed);
    return { passed, original, rewritten, plugin, ...compared };
  } finally {
    await Promise.all([pair.original.release(), pair.rewritten.release()]);
  }
}

/** Both or none: where the second does not open, the first is released. */
async function openPair(
  original: string,
  rewritten: string,
  plugin: boolean,
  options: ValidateOptions['sessionOptions'],
): Promise<Pair> {
  const first = await withPlugin(false, () => openSession(original, options));
  try {
    return { original: first, rewritten: await withPlugin(plugin, () => openSession(rewritten, options)) };
  } catch (error) {
    await first.release();
    throw error;
  }
}

async function compareAll(pair: Pair, modelPath: string, options: ValidateOptions) {
  const { signal, onProgress } = options;
  const tolerance = tolerancesOf(pair.original.outputNames, options);
  const inputs = readModelInputs(pair.original, modelPath);
  const dataSets: string[] = [];
  const comparisons: OutputComparison[] = [];
  let first: DataSet | undefined;
  for await (const dataSet of loadDataSets(inputs, pair.original.outputNames, options.inputs)) {
    throwIfAborted(signal);
    first ??= dataSet;
    dataSets.push(dataSet.name);
    comparisons.push(...(await compareOn(dataSet, pair, tolerance)));
    onProgress?.({ step: 'comparing', done: dataSets.length, total: null });
  }
  const runs = options.runs ?? RUNS;
  const timing =
    first && runs > 0 ? { ...(await time(first, pair, runs, options)), dataSet: first.name } : null;
  return { dataSets, comparisons, timing };
}

async function compareOn(
  dataSet: DataSet,
  pair: Pair,
  tolerance: (output: string) => Tolerance,
): Promise<OutputComparison[]> {
  const original = await run(pair.original, dataSet, 'original');
  const rewritten = await run(pair.rewritten, dataSet, 'rewritten');
  const row = (output: string, compared: OutputComparison['compared'], comparison: TensorComparison) => ({
    output,
    dataSet: dataSet.name,
    compared,
    ...comparison,
  });
  const rows = Object.entries(original).map(([output, reference]) => {
    const candidate = rewritten[output] as ort.Tensor | undefined;
    const comparison = candidate
      ? compareTensors(reference, candidate, tolerance(output))
      : {
          ...nothingCompared(reference, tolerance(output)),
          failure: 'the rewritten model lacks this output',
        };
    return row(output, 'rewritten with original', comparison);
  });
  for (const [output, candidate] of Object.entries(rewritten)) {
    if (output in original) continue;
    const comparison = {
      ...nothingCompared(candidate, { atol: 0, rtol: 0 }),
      failure: 'the original lacks this output',
    };
    rows.push(row(output, 'rewritten with original', comparison));
  }
  for (const [output, reference] of Object.entries(dataSet.expected)) {
    rows.push(
      row(output, 'original with expected', compareTensors(reference, original[output], tolerance(output))),
    );
  }
  return rows;
}

/** All outputs are tensors here: others make the session fail or are refused below. */
async function run(
  session: ort.InferenceSession,
  dataSet: DataSet,
  which: string,
): Promise<Record<string, ort.Tensor>> {
  try {
    return await session.run(dataSet.inputs);
  } catch (cause) {
    const message = `the ${which} model failed on data set '${dataSet.name}': ${errorMessage(cause)}`;
    throw new BlockrankError('SESSION', message, { cause });
  }
}

function time(dataSet: DataSet, pair: Pair, runs: number, options: ValidateOptions): Promise<Timing> {
  return timeAlternately(
    () => pair.original.run(dataSet.inputs),
    () => pair.rewritten.run(dataSet.inputs),
    {
      runs,
      warmUp: WARM_UP,
      signal: options.signal,
      onTurn: (turn) => options.onProgress?.({ step: 'timing', done: turn, total: runs + WARM_UP }),
    },
  );
}

function requireSameInputs({ original, rewritten }: Pair): void {
  const [expected, found] = [original.inputNames, rewritten.inputNames].map((names) =>
    names.toSorted().join(', '),
  );
  if (expected === found) return;
  throw new BlockrankError(
    'INVALID_ARGUMENT',
    `the models cannot be compared: the original's inputs are ${expected}, the other's are ${found}`,
  );
}

/** An output that both models lack elements of passes, and tells nothing. */
function requireSomethingCompared(comparisons: readonly OutputComparison[]): void {
  if (comparisons.some((comparison) => comparison.elements > 0 || !comparison.passed)) return;
  throw new BlockrankError(
    'INVALID_INPUTS',
    'nothing was compared: there is no data set, or all outputs are empty. Check --inputs and --shape.',
  );
}
