import type * as Ort from 'onnxruntime-node';
import type { Engine } from '../factorize/engine.js';
import type { FactorizeRequest } from '../factorize/types.js';
import type { Feeds } from '../calibration/index.js';
import type { FactorizeLayer, LayerInfo, RewritePlan } from '../types.js';

export interface SequentialRequest extends Pick<
  FactorizeRequest,
  'method' | 'iterations' | 'relaxation' | 'seed'
> {
  readonly modelPath: string;
  /** Structures and ranks; layers that it keeps are refitted too where `refit` says so. */
  readonly plan: RewritePlan;
  /** One set of model inputs for each run; gone through once. */
  readonly inputs: AsyncIterable<Feeds> | Iterable<Feeds>;
  /** Fits what the walk cannot: weights that several layers share, layers in bodies. */
  readonly oneShot: FactorizeLayer;
  /** One positive weight per output channel of a layer, [out]; 1 when absent. */
  readonly outputScale?: (layer: LayerInfo) => Float32Array | undefined;
  /** Share of the original model's activations in the target's inputs, 0…1; 0.5 when absent. */
  readonly alpha?: number;
  /** Ridge of the target as a share of the mean diagonal of C′; 1e-3 when absent. */
  readonly ridge?: number;
  /** Replaces matrices that stay dense by their targets; true when absent. */
  readonly refit?: boolean;
  /** Which layers may get a bias that takes up the mean of their error: those that have one when absent. */
  readonly bias?: 'existing' | 'always' | 'never';
  /** The input whose zeros mark rows to leave out; `attention_mask` where there is one when absent, false for none. */
  readonly mask?: string | false;
  /** Bytes of activations held in memory; what comes on top is kept in temporary files. 512 MiB when absent. */
  readonly stateLimit?: number;
  readonly engine?: Engine;
  /** For the sessions that run the parts of the network. */
  readonly sessionOptions?: Ort.InferenceSession.SessionOptions;
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: string, done: number, total: number) => void;
}
