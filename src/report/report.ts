// Everything about a rewritten model beside its original, layer by layer and end to end.
import type * as ort from 'onnxruntime-node';
import { type Device, optionsOn } from '../device.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import type { InputOptions } from '../inputs/index.js';
import type { OnProgress } from '../progress.js';
import { findingsOf } from './findings.js';
import { reportLayers } from './layers.js';
import { compareModels } from './models.js';
import type { ModelReport } from './types.js';

export interface ReportOptions {
  /** What the models are run on: other inputs than the factors were fitted to. Random ones where absent, and then no error on activations. */
  readonly inputs?: InputOptions;
  /** For all sessions. */
  readonly sessionOptions?: ort.InferenceSession.SessionOptions;
  /** For all sessions, instead of `executionProviders`: as `createSession` has it, but the CPU when absent. */
  readonly device?: Device;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/**
 * Compares what `rewrite` made of a model with the original, and with int8 and int4 quantization of the same weights.
 * @throws BlockrankError INVALID_ARGUMENT where nothing of the second model came from the first, INVALID_MODEL, INVALID_INPUTS, SESSION, ABORTED
 */
export async function report(
  original: string,
  rewritten: string,
  options: ReportOptions = {},
): Promise<ModelReport> {
  const { inputs, signal, onProgress } = options;
  const sessionOptions = await optionsOn(options.device, options.sessionOptions, {
    needs: { kernels: true },
    onProgress,
  });
  const watch = { sessionOptions, signal, onProgress };
  const sizes = {
    original: (await inspectModel(original)).bytes,
    rewritten: (await inspectModel(rewritten)).bytes,
  };
  const seen = inputs?.paths?.length ? inputs : undefined;
  const layers = await reportLayers(original, rewritten, seen, watch);
  const compared = await compareModels(original, rewritten, layers, sizes, { ...watch, inputs });
  return { original, rewritten, layers, ...compared, findings: findingsOf(compared.models) };
}
