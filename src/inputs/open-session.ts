// Sessions of the application's own onnxruntime-node.
import { existsSync } from 'node:fs';
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { loadOnnxRuntime } from '../../graph-rewriter/onnxruntime.js';
import { errorMessage } from '../progress.js';

/**
 * Creates a session of a pair that runs turn by turn: its idle threads stop at the end of each run, else they would spin into
 * the other's turn (seen on 2 busy cores: 2.5 times slower).
 * @throws BlockrankError IO where there is no such file, SESSION naming the model, or the loader's codes
 */
export async function openSession(
  model: string,
  options: ort.InferenceSession.SessionOptions = {},
): Promise<ort.InferenceSession> {
  if (!existsSync(model)) throw new BlockrankError('IO', `${model}: there is no such file`);
  const runtime = loadOnnxRuntime();
  const extra = (options.extra ?? {}) as { session?: Record<string, unknown> };
  try {
    return await runtime.InferenceSession.create(model, {
      // Warnings (2) are for the exporter of the model; errors are thrown anyway.
      logSeverityLevel: 3,
      ...options,
      extra: { ...extra, session: { force_spinning_stop: '1', ...extra.session } },
    });
  } catch (cause) {
    const message = `${model} could not be opened by onnxruntime-node: ${errorMessage(cause)}`;
    throw new BlockrankError('SESSION', message, { cause });
  }
}
