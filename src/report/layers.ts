// What each rewritten layer costs in error and saves in bytes, beside quantization of its dense weight.
import type * as ort from 'onnxruntime-node';
import { denseErrors } from '../../graph-rewriter/factorize/dense-errors.js';
import { reconstruct } from '../../graph-rewriter/factorize/reconstruct.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { visitPairs, type LayerPair } from '../../graph-rewriter/pairs.js';
import { engineFor } from '../device.js';
import { calibrate, type Covariances } from '../calibrate.js';
import type { InputOptions } from '../inputs/index.js';
import { throwIfAborted, type OnProgress } from '../progress.js';
import { QUANTIZATIONS, quantizeDequantize, quantizedBytes } from './quantize.js';
import type { LayerReport } from './types.js';

interface Watch {
  readonly sessionOptions: ort.InferenceSession.SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

export async function reportLayers(
  original: string,
  rewritten: string,
  inputs: InputOptions | undefined,
  watch: Watch,
): Promise<LayerReport[]> {
  const { signal, onProgress } = watch;
  const seen = inputs ? await covariances(original, rewritten, inputs, watch) : undefined;
  const engine = engineFor(watch.sessionOptions);
  const reports: LayerReport[] = [];
  await visitPairs(original, rewritten, async (pair, index, total) => {
    throwIfAborted(signal);
    const covariance = seen?.(pair.layer)?.matrix;
    const weight = pair.readWeight();
    const errorsOf = (approximation: Float32Array) => denseErrors(engine, weight, approximation, covariance);
    const quantized: Record<string, LayerReport['quantized'][string]> = {};
    for (const way of QUANTIZATIONS)
      quantized[way.name] = {
        ...(await errorsOf(quantizeDequantize(weight, way))),
        bytes: quantizedBytes(weight, way),
      };
    const errors = await errorsOf(await reconstruct(engine, pair.readFactors()));
    reports.push({ ...describe(pair), errors, quantized });
    onProgress?.({ step: `measuring ${pair.layer.id}`, done: index + 1, total });
  });
  return reports;
}

/** Of what enters the layers in the original, on the inputs of the report: other ones than the factors were fitted to, best. */
async function covariances(
  original: string,
  rewritten: string,
  inputs: InputOptions,
  { signal, onProgress, sessionOptions }: Watch,
): Promise<Covariances> {
  const names = new Set<string>();
  await visitPairs(original, rewritten, ({ layer }) => Promise.resolve(void names.add(layer.id)));
  const { layers } = await inspectModel(original);
  const paired = layers.filter(({ id }) => names.has(id));
  return calibrate(original, paired, inputs, { signal, onProgress, sessionOptions });
}

function describe({
  layer,
  op,
  spec,
  factorType,
  bytes,
}: LayerPair): Omit<LayerReport, 'errors' | 'quantized'> {
  const { in: inputs, out, structure, rank, blocksIn, blocksOut } = spec;
  return {
    id: layer.id,
    weight: layer.weightKey ?? layer.id,
    shape: { in: inputs, out },
    op,
    spec: { structure, rank, blocksIn, blocksOut },
    factorType,
    bytesBefore: layer.bytes,
    bytesAfter: bytes,
  };
}
