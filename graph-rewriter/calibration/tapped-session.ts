// A session of the original model with taps.
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { BlockrankError } from '../errors.js';
import { openModel } from '../inline/index.js';
import type { Model } from '../model.js';
import { loadOnnxRuntime } from '../onnxruntime.js';
import { PiecedSource } from '../wire/pieced-source.js';
import type { Piece } from '../wire/pieces.js';
import type { Source } from '../wire/source.js';

type SessionOptions = Ort.InferenceSession.SessionOptions;

export interface TappedModel {
  readonly path: string;
  /** The bytes to run: the model's, with taps in them or behind them. */
  readonly tapped: (model: Model) => readonly Piece[];
  /** Its weights are in other files, so its own is small. */
  readonly external: boolean;
}

/**
 * The model with more fields behind it. Protocol buffers merge repeated occurrences of an embedded message, so every parser
 * sees one graph with the nodes of a second `graph` field at its end.
 */
export function behind(model: Model, fields: Uint8Array): Piece[] {
  const { source } = model;
  return [{ source, start: 0, end: source.size }, fields];
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

async function fromCopy({ path, tapped }: TappedModel, options: SessionOptions) {
  const folder = await mkdtemp(join(tmpdir(), 'blockrank-calibration-'));
  try {
    const copy = join(folder, 'tapped.onnx');
    await withPieces(path, tapped, async (source) => {
      for (let at = 0; at < source.size; at += CHUNK)
        await appendFile(copy, source.read(at, Math.min(at + CHUNK, source.size)));
    });
    return await loadOnnxRuntime().InferenceSession.create(copy, { ...FRUGAL, ...options });
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function fromBytes({ path, tapped }: TappedModel, options: SessionOptions) {
  const bytes = await withPieces(path, tapped, (source) => source.read(0, source.size));
  const extra = (options.extra ?? {}) as { session?: Record<string, unknown> };
  const folder = dirname(resolve(path));
  return loadOnnxRuntime().InferenceSession.create(bytes, {
    ...FRUGAL,
    ...options,
    extra: { ...extra, session: { model_external_initializers_file_folder_path: folder, ...extra.session } },
  });
}

/** With the names that calibration asks for: those of the file, or of its functions' bodies where they were inlined. */
async function withPieces<T>(
  path: string,
  tapped: TappedModel['tapped'],
  use: (source: Source) => T | Promise<T>,
): Promise<T> {
  const model = openModel(path);
  try {
    return await use(new PiecedSource(tapped(model), path));
  } finally {
    model.close();
  }
}

const CHUNK = 4 << 20;

/** The arena would keep the largest run's memory for the rest of the session. */
const FRUGAL: SessionOptions = { logSeverityLevel: 3, enableCpuMemArena: false };
