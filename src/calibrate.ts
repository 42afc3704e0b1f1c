// Covariances of what enters the layers that are to be rewritten, from runs of the original model.
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../graph-rewriter/errors.js';
import { collectCovariances, type Covariance, inputKey } from '../graph-rewriter/calibration/index.js';
import type { LayerInfo } from '../graph-rewriter/types.js';
import { loadDataSets, readGraphInputs, readGraphOutputs, type InputOptions } from './inputs/index.js';
import { tokenFeeds, type TokenFile } from './inputs/tokens.js';
import type { OnProgress } from './progress.js';
import { covariancesCodec, type StatisticsCache } from './statistics/cache.js';

export type Feeds = Record<string, ort.Tensor>;

/** Where inputs are stored (as for `validate`), a file of tokens, or the feeds themselves. */
export type CalibrationSource =
  InputOptions | { readonly tokens: TokenFile } | AsyncIterable<Feeds> | Iterable<Feeds>;

/** The covariance [in, in] to factorize a layer's weight with; undefined where nothing was seen of its input. */
export type Covariances = (layer: LayerInfo) => Seen | undefined;

export interface Seen {
  /** [in, in] */
  readonly matrix: Float32Array;
  /** Rows that it is the mean of. */
  readonly samples: number;
}

interface Watch {
  /** As in `RewriteOptions`. */
  readonly mask?: string | false | undefined;
  /** As `CollectRequest` has it. */
  readonly rowsPerFeature?: number;
  /** For the session that runs the model. */
  readonly sessionOptions?: ort.InferenceSession.SessionOptions | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress | undefined;
  /** Of these inputs; nothing is remembered when absent. */
  readonly cache?: StatisticsCache;
}

/** @throws BlockrankError INVALID_INPUTS where the source holds no feeds, and the codes of `collectCovariances` */
export async function calibrate(
  model: string,
  layers: readonly LayerInfo[],
  source: CalibrationSource,
  { signal, onProgress, mask, rowsPerFeature, sessionOptions, cache }: Watch,
): Promise<Covariances> {
  const collect = async () => {
    let runs = 0;
    const collected = await collectCovariances({
      modelPath: model,
      tensors: layers,
      inputs: calibrationFeeds(model, source),
      onProgress: (done) => {
        runs = done;
        onProgress?.({ step: 'calibrating', done, total: null });
      },
      ...(mask === undefined ? {} : { mask }),
      ...(rowsPerFeature !== undefined && { rowsPerFeature }),
      ...(sessionOptions && { sessionOptions }),
      ...(signal ? { signal } : {}),
    });
    if (runs === 0) throw new BlockrankError('INVALID_INPUTS', 'the calibration source holds no inputs');
    return collected;
  };
  // All tensors at once: which others are watched can change how the graph is fused, and with it the rounding.
  const what = ['covariances', [...new Set(layers.map(inputKey))], rowsPerFeature];
  const covariances = await (cache?.remember(what, covariancesCodec, collect) ?? collect());
  return (layer) => pooled(layers, layer, covariances);
}

/** The feeds of a source, one in memory at a time. */
export function calibrationFeeds(
  model: string,
  source: CalibrationSource,
): AsyncIterable<Feeds> | Iterable<Feeds> {
  if (isIterable(source)) return source;
  return 'tokens' in source ? tokenFeeds(readGraphInputs(model), source.tokens) : feedsOf(model, source);
}

function isIterable(source: CalibrationSource): source is AsyncIterable<Feeds> | Iterable<Feeds> {
  return Symbol.asyncIterator in source || Symbol.iterator in source;
}

/** Data sets may hold expected outputs too, as for `validate`: they are passed over. */
async function* feedsOf(model: string, source: InputOptions): AsyncGenerator<Feeds> {
  const dataSets = loadDataSets(readGraphInputs(model), readGraphOutputs(model), source);
  for await (const dataSet of dataSets) yield dataSet.inputs;
}

/** @throws BlockrankError INVALID_INPUTS where a weight would be fitted to nothing: no run came to any of its layers */
export function requireSeen(layers: readonly LayerInfo[], covariances: Covariances): void {
  const unseen = layers.filter((layer) => covariances(layer) === undefined).map(({ id }) => id);
  if (unseen.length === 0) return;
  const some = unseen.slice(0, 3).join(', ') + (unseen.length > 3 ? ` and ${unseen.length - 3} more` : '');
  throw new BlockrankError(
    'INVALID_INPUTS',
    `no calibration input reached ${some}: no run had rows for them. They may lie in a branch of an If that no run took, or in the body of an operator other than If, Loop and Scan (from opset 9), which calibration does not see into. Calibrate on inputs that use them, or exclude them`,
  );
}

/** A weight that several layers share is factorized once: for what enters any of them, each row counting the same. */
function pooled(
  layers: readonly LayerInfo[],
  layer: LayerInfo,
  covariances: ReadonlyMap<string, Covariance>,
): Seen | undefined {
  const sharing = layers.filter(
    ({ id, weightKey }) => id === layer.id || (weightKey !== null && weightKey === layer.weightKey),
  );
  const seen = sharing
    .map((layer) => covariances.get(inputKey(layer)))
    .filter((covariance): covariance is Covariance => covariance !== undefined && covariance.samples > 0);
  if (seen.length < 2) return seen[0];
  const samples = seen.reduce((sum, covariance) => sum + covariance.samples, 0);
  const matrix = seen[0].matrix.map((_, index) =>
    seen.reduce((sum, covariance) => sum + (covariance.samples / samples) * covariance.matrix[index], 0),
  );
  return { matrix, samples };
}
