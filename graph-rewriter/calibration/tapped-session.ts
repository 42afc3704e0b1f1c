// A session of the original model with taps.
import { appendFile, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { BlockrankError } from '../errors.js';
import { openModel } from '../inline/index.js';
import { loadOnnxRuntime } from '../onnxruntime.js';

type SessionOptions = Ort.InferenceSession.SessionOptions;

export interface TappedModel {
  readonly path: string;
  /** What goes behind the model's bytes (tap.ts). */
  readonly taps: Uint8Array;
  /** Its weights are in other files, so its own is small. */
  readonly external: boolean;
}

/**
 * A model with its weights inside is copied to a temporary file, so that this process never holds its bytes beside the
 * session's. One with external data is given as bytes: only then can ONNX Runtime be told where the data is.
 */
export async function createTappedSession(
  model: TappedModel,
  options: SessionOptions = {},
): Promise<Ort.InferenceSession> {
  try {
    return await (model.external ? fromBytes(model, options) : fromCopy(model, options));
  } catch (cause) {
    throw new BlockrankError('SESSION', `${model.path} could not be run for calibration: ${String(cause)}`, {
      cause,
    });
  }
}

async function fromCopy({ path, taps }: TappedModel, options: SessionOptions) {
  const folder = await mkdtemp(join(tmpdir(), 'blockrank-calibration-'));
  try {
    const copy = join(folder, 'tapped.onnx');
    await writeInlined(path, copy);
    await appendFile(copy, taps);
    return await loadOnnxRuntime().InferenceSession.create(copy, { ...FRUGAL, ...options });
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function fromBytes({ path, taps }: TappedModel, options: SessionOptions) {
  const model = readInlined(path);
  const bytes = new Uint8Array(model.length + taps.length);
  bytes.set(model);
  bytes.set(taps, model.length);
  const extra = (options.extra ?? {}) as { session?: Record<string, unknown> };
  const folder = dirname(resolve(path));
  return loadOnnxRuntime().InferenceSession.create(bytes, {
    ...FRUGAL,
    ...options,
    extra: { ...extra, session: { model_external_initializers_file_folder_path: folder, ...extra.session } },
  });
}

/** With the names that calibration asks for: those of the file, or of its functions' bodies where they were inlined. */
async function writeInlined(path: string, copy: string): Promise<void> {
  const model = openModel(path);
  try {
    const { source } = model;
    if (source === model.file) return await copyFile(path, copy);
    for (let at = 0; at < source.size; at += CHUNK)
      await appendFile(copy, source.read(at, Math.min(at + CHUNK, source.size)));
  } finally {
    model.close();
  }
}

function readInlined(path: string): Uint8Array {
  const model = openModel(path);
  try {
    return model.source.read(0, model.source.size);
  } finally {
    model.close();
  }
}

const CHUNK = 4 << 20;

/** The arena would keep the largest run's memory for the rest of the session. */
const FRUGAL: SessionOptions = { logSeverityLevel: 3, enableCpuMemArena: false };
