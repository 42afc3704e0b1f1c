// The demo: rewrites a real text recogniser, reads pictures with both models, and compares.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as ort from 'onnxruntime-node';
import type { Structure } from '../../graph-rewriter/factorize/types.js';
import type { RewriteReport } from '../../graph-rewriter/types.js';
import { readGraphInputs } from '../inputs/index.js';
import { openSession } from '../inputs/open-session.js';
import { throwIfAborted, type OnProgress } from '../progress.js';
import { rewrite } from '../rewrite.js';
import { compareTensors, type TensorComparison } from '../validation/compare.js';
import { withPlugin } from '../validation/plugin.js';
import { timeAlternately, type Timing } from '../validation/timing.js';
import { DEMO_KEEP, DEMO_STRUCTURE } from './defaults.js';
import { findDemoAssets, type DemoAssets, type Line } from './assets.js';
import { readFeed, recognise, textOf, type Feed } from './recognise.js';

export interface DemoOptions {
  readonly structure?: Structure;
  /** Bytes kept of each rewritten weight. */
  readonly keep?: number;
  /** Where the rewritten model is left; it is deleted where this is absent. */
  readonly output?: string;
  /** Timed runs of each model over all pictures; default 10. */
  readonly runs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export interface DemoReport {
  readonly structure: Structure;
  readonly keep: number;
  /** Lines of text that the factors were fitted to. */
  readonly calibrationLines: number;
  readonly rewrite: RewriteReport;
  readonly lines: readonly DemoLine[];
  /** One run reads all test lines once. */
  readonly timing: Timing;
}

export interface DemoLine {
  readonly picture: string;
  /** What is written on the picture. */
  readonly written: string;
  readonly original: string;
  readonly rewritten: string;
  /** The rewritten model's output beside the original's; the probabilities differ by design, so nothing is required of it. */
  readonly comparison: TensorComparison;
}

/** Divides every width of this model: its opset (9) has no portable form for a shorter last block. */
const BLOCKS = 5;
/** Of 40: the largest layer's weighted error is 0.0115 against 0.0114, in less than half the time. */
const SWEEPS = 10;
const RUNS = 10;
const WARM_UP = 2;
const ANY_TOLERANCE = { atol: Infinity, rtol: 0 };

/** @throws BlockrankError IO where the demo's files are missing, and the codes of `rewrite` and of the loader */
export async function runDemo(options: DemoOptions = {}): Promise<DemoReport> {
  const { structure = DEMO_STRUCTURE, keep = DEMO_KEEP, signal, onProgress } = options;
  const assets = await findDemoAssets();
  const scratch = await mkdtemp(join(tmpdir(), 'blockrank-demo-'));
  try {
    const target = options.output ?? join(scratch, 'rewritten.onnx');
    const [{ name }] = readGraphInputs(assets.model);
    const report = await rewrite(assets.model, target, {
      // It shows what rewriting does to every layer, the slower ones too.
      keepDenseIfSlower: false,
      structure,
      keep,
      blocks: BLOCKS,
      // Monarch and low rank are not fitted in sweeps.
      ...(structure === 'blast' ? { iterations: SWEEPS } : {}),
      calibration: feedsOf(assets.calibration, name),
      ...(signal ? { signal } : {}),
      ...(onProgress ? { onProgress } : {}),
    });
    const read = await readWithBoth(assets, target, name, options);
    return { structure, keep, calibrationLines: assets.calibration.length, rewrite: report, ...read };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function* feedsOf(lines: readonly Line[], input: string): AsyncGenerator<Feed> {
  for (const line of lines) yield await readFeed(line, input);
}

async function readWithBoth(
  assets: DemoAssets,
  target: string,
  input: string,
  { runs = RUNS, signal, onProgress }: DemoOptions,
): Promise<Pick<DemoReport, 'lines' | 'timing'>> {
  const original = await openSession(assets.model);
  const rewritten = await withPlugin(true, () => openSession(target));
  const feeds = await Promise.all(assets.test.map((line) => readFeed(line, input)));
  const lines: DemoLine[] = [];
  for (const [index, line] of assets.test.entries()) {
    throwIfAborted(signal);
    onProgress?.({ step: 'reading the pictures', done: index, total: feeds.length });
    lines.push(await readLine(line, feeds[index], assets.alphabet, original, rewritten));
  }
  const readAll = (session: ort.InferenceSession) => async () => {
    for (const feed of feeds) await recognise(session, feed);
  };
  const timing = await timeAlternately(readAll(original), readAll(rewritten), {
    runs,
    warmUp: WARM_UP,
    signal,
    onTurn: (turn) => onProgress?.({ step: 'timing', done: turn, total: runs + WARM_UP }),
  });
  await Promise.all([original.release(), rewritten.release()]);
  return { lines, timing };
}

async function readLine(
  line: Line,
  feed: Feed,
  alphabet: readonly string[],
  original: ort.InferenceSession,
  rewritten: ort.InferenceSession,
): Promise<DemoLine> {
  const reference = await recognise(original, feed);
  const candidate = await recognise(rewritten, feed);
  return {
    picture: line.path,
    written: line.text,
    original: textOf(reference, alphabet),
    rewritten: textOf(candidate, alphabet),
    comparison: compareTensors(reference, candidate, ANY_TOLERANCE),
  };
}
