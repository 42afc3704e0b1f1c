/** Creates an onnxruntime-node session that knows blockrank's operators, on the device of the caller's choice. */
import { realpathSync } from 'node:fs';
import type { InferenceSession } from 'onnxruntime-node';
import { BlockrankError } from '../graph-rewriter/errors.js';
import { loadOnnxRuntime } from '../graph-rewriter/onnxruntime.js';
import { cudaRefused, type Device, requireOneOf } from './device.js';
import { whyNotCuda } from './doctor/cuda.js';
import { loadAddon } from './loader/addon.js';
import { locateLibrary } from './loader/locate.js';
import { chooseForThread, register } from './loader/register.js';
import { inTurn } from './loader/turn.js';

export interface CreateSessionOptions extends InferenceSession.SessionOptions {
  /**
   * `auto` (default): CUDA where it works, else the CPU. `cuda`: CUDA or an error. `cpu`: the CPU.
   * Leave it out to give `executionProviders` yourself.
   */
  readonly device?: Device;
}

export interface CreatedSession {
  readonly session: InferenceSession;
  /** First execution provider of the session; nodes that it cannot run go to the CPU, as always in ONNX Runtime. */
  readonly provider: string;
  /** For `auto` without CUDA: why. */
  readonly fallback?: string;
}

/**
 * @param model path of an ONNX file, or its bytes.
 * @throws BlockrankError as `register`; SESSION where the session cannot be created, or where `cuda` was asked for and
 * cannot be used; INVALID_ARGUMENT where both `device` and `executionProviders` are given.
 */
export function createSession(
  model: string | Uint8Array,
  options: CreateSessionOptions = {},
): Promise<CreatedSession> {
  return inTurn(async () => {
    register();
    // Other threads may unregister until the session is there.
    const end = chooseForThread(true);
    try {
      return await create(model, options);
    } finally {
      end();
    }
  });
}

async function create(
  model: string | Uint8Array,
  { device, ...options }: CreateSessionOptions,
): Promise<CreatedSession> {
  const { executionProviders } = options;
  requireOneOf(device, options);
  if (executionProviders) {
    const [first] = executionProviders;
    const provider = typeof first === 'string' ? first : (first?.name ?? 'cpu');
    return { session: await open(model, options), provider };
  }
  const on = (name: string) => open(model, { ...options, executionProviders: [name] });
  if (device === 'cpu') return { session: await on('cpu'), provider: 'cpu' };

  const missing = whyNotCuda(loadAddon(), realpathSync(locateLibrary()));
  if (device === 'cuda') {
    if (missing) throw cudaRefused(missing);
    return { session: await on('cuda'), provider: 'cuda' };
  }
  if (missing) return { session: await on('cpu'), provider: 'cpu', fallback: missing };
  try {
    return { session: await on('cuda'), provider: 'cuda' };
  } catch (error) {
    return { session: await on('cpu'), provider: 'cpu', fallback: (error as Error).message };
  }
}

async function open(
  model: string | Uint8Array,
  options: InferenceSession.SessionOptions,
): Promise<InferenceSession> {
  const { InferenceSession } = loadOnnxRuntime();
  try {
    // The two overloads of `create` take the same arguments.
    return await (typeof model === 'string'
      ? InferenceSession.create(model, options)
      : InferenceSession.create(model, options));
  } catch (cause) {
    const what = typeof model === 'string' ? model : `a model of ${model.byteLength} bytes`;
    throw new BlockrankError(
      'SESSION',
      `No session could be created for ${what}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}
