// Where sessions run: the device of the caller's choice, tried before any work is done.
import { realpathSync } from 'node:fs';
import type { InferenceSession } from 'onnxruntime-node';
import { BlockrankError } from '../graph-rewriter/errors.js';
import { createEngine, defaultEngine, type Engine } from '../graph-rewriter/factorize/engine.js';
import { productModel } from '../graph-rewriter/factorize/product-model.js';
import { loadOnnxRuntime } from '../graph-rewriter/onnxruntime.js';
import { whyNotCuda } from './doctor/cuda.js';
import { type Addon, loadAddon } from './loader/addon.js';
import { nativeEngine, routedEngine } from './native-engine.js';
import { locateLibrary } from './loader/locate.js';
import type { OnProgress } from './progress.js';

/** `auto`: CUDA where it works, else the CPU. `cuda`: CUDA or an error. */
export const DEVICES = ['auto', 'cuda', 'cpu'] as const;
export type Device = (typeof DEVICES)[number];

type SessionOptions = InferenceSession.SessionOptions;

/** A device that works. */
export interface Placement {
  readonly provider: 'cpu' | 'cuda';
  /** For `auto` without CUDA: why. */
  readonly fallback?: string;
}

export interface Needs {
  /** Without blockrank's own CUDA kernels its operators would run on the CPU in a CUDA session: then CUDA counts as missing. */
  readonly kernels: boolean;
}

/** @throws BlockrankError SESSION where `cuda` was asked for and cannot be used, ORT_NOT_FOUND, ORT_UNSUPPORTED */
export async function place(device: Device, needs: Needs = { kernels: false }): Promise<Placement> {
  if (!DEVICES.includes(device))
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `device is '${String(device)}'; expected one of ${DEVICES.join(', ')}`,
    );
  if (device === 'cpu') return { provider: 'cpu' };
  const missing = whyNotKnown(needs) ?? (await (trial ??= tryCuda()));
  if (missing === null) return { provider: 'cuda' };
  if (device === 'cuda') throw cudaRefused(missing);
  return { provider: 'cpu', fallback: missing };
}

export function cudaRefused(reason: string): BlockrankError {
  return new BlockrankError('SESSION', `CUDA was asked for but cannot be used. ${reason}. ${ADVICE}`);
}

const ADVICE = "`npx blockrank doctor` has the details; `device: 'cpu'` runs without it.";

/** The options with the device's execution provider. @throws BlockrankError INVALID_ARGUMENT where they name providers too; as `place` */
export async function optionsOn(
  device: Device | undefined,
  options: SessionOptions = {},
  { needs, onProgress }: { readonly needs?: Needs; readonly onProgress?: OnProgress | undefined } = {},
): Promise<SessionOptions> {
  if (device === undefined) return options;
  requireOneOf(device, options);
  const placement = await place(device, needs);
  onProgress?.({ step: describePlacement(placement), done: 1, total: 1 });
  return { ...options, executionProviders: [placement.provider] };
}

export function requireOneOf(device: Device | undefined, { executionProviders }: SessionOptions): void {
  if (device === undefined || executionProviders === undefined) return;
  throw new BlockrankError(
    'INVALID_ARGUMENT',
    'Expected `device` or `executionProviders`, got both. Leave one out.',
  );
}

export function describePlacement({ provider, fallback }: Placement): string {
  if (provider === 'cuda') return 'running on the GPU (CUDA)';
  return fallback === undefined ? 'running on the CPU' : `running on the CPU: ${fallback}`;
}

/** Linear algebra where sessions with these options run: one engine for each set of execution providers. */
export function engineFor({ executionProviders }: SessionOptions): Engine {
  const key = JSON.stringify(executionProviders ?? CPU);
  let engine = engines.get(key);
  if (engine === undefined) engines.set(key, (engine = makeEngine(executionProviders)));
  return engine;
}

/** The addon's own loops; where there is no addon, products by ONNX Runtime and plain loops, which take some ten times as long. */
function makeEngine(executionProviders: SessionOptions['executionProviders']): Engine {
  const native = findAddon()?.linearAlgebra;
  const cpu = native ? nativeEngine(native) : defaultEngine();
  if (executionProviders === undefined || JSON.stringify(executionProviders) === JSON.stringify(CPU))
    return cpu;
  const other = createEngine({ executionProviders });
  return native ? routedEngine(cpu, other) : other;
}

const CPU = ['cpu'];

const engines = new Map<string, Engine>();

/** What can be said without a session. Without the addon nothing can: the trial tells. */
function whyNotKnown({ kernels }: Needs): string | null {
  loadOnnxRuntime();
  const addon = findAddon();
  return addon === undefined ? null : whyNotCuda(addon, kernels ? realpathSync(locateLibrary()) : undefined);
}

function findAddon(): Addon | undefined {
  try {
    return loadAddon();
  } catch {
    return undefined;
  }
}

/** Made once in a process; null where a product on the device came out right. */
let trial: Promise<string | null> | undefined;

async function tryCuda(): Promise<string | null> {
  const { InferenceSession, Tensor } = loadOnnxRuntime();
  const scalar = (value: number) => new Tensor('float64', [value], [1, 1, 1]);
  try {
    const session = await InferenceSession.create(productModel('none'), { executionProviders: ['cuda'] });
    const { c } = await session.run({ a: scalar(3), b: scalar(5) });
    await session.release();
    const [product] = c.data as Float64Array;
    return product === 15 ? null : `a trial on the device gave 3 · 5 = ${product}`;
  } catch (error) {
    return `a trial session on the device failed: ${(error as Error).message}`;
  }
}
