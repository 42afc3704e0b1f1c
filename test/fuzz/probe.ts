// A process that opens a damaged model and its rewrite in ONNX Runtime, which may end it.
import { errorMessage } from '../../src/progress.js';
import { openSession } from '../../src/inputs/open-session.js';
import { register, unregister } from '../../src/loader/register.js';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { loadOnnxRuntime } from '../../graph-rewriter/onnxruntime.js';

export interface ProbeRequest {
  readonly source: string;
  readonly target: string;
  readonly plugin: boolean;
  /** Also run both and compare. */
  readonly compare: boolean;
}

export type FromProbe =
  /** Sent before what it names is begun: who is to blame where nothing follows. */
  | { readonly at: 'source' | 'target' }
  | { readonly source: string; readonly target: string; readonly difference?: number };

const tell = (message: FromProbe) =>
  new Promise<void>((resolve) => process.send!(message, undefined, {}, () => resolve()));

process.on('message', (request) => void probe(request as ProbeRequest).then(tell));

/** 'ok' or ONNX Runtime's message, for each. */
async function probe({ source, target, plugin, compare }: ProbeRequest): Promise<FromProbe> {
  unregister();
  await tell({ at: 'source' });
  const original = await open(source);
  await tell({ at: 'target' });
  if (plugin) register();
  const rewritten = await open(target);
  const sessions = [original, rewritten].flatMap((opened) => (typeof opened === 'string' ? [] : [opened]));
  try {
    const answer = { source: said(original), target: said(rewritten) };
    if (!compare || sessions.length < 2) return answer;
    const difference = await compareOutputs(sessions[0], sessions[1]).catch(() => undefined);
    return { ...answer, ...(difference !== undefined && { difference }) };
  } finally {
    for (const session of sessions) await session.release();
  }
}

const said = (opened: InferenceSession | string) => (typeof opened === 'string' ? opened : 'ok');

async function open(path: string): Promise<InferenceSession | string> {
  try {
    return await openSession(path, { logSeverityLevel: 4, intraOpNumThreads: 1, interOpNumThreads: 1 });
  } catch (error) {
    return errorMessage(error);
  }
}

/** max |a − b| / max |a| over the outputs; undefined where the original does not run on small random feeds. */
async function compareOutputs(
  original: InferenceSession,
  rewritten: InferenceSession,
): Promise<number | undefined> {
  const feeds = feedsFor(original);
  const expected = await original.run(feeds).catch(() => undefined);
  if (expected === undefined) return undefined;
  const found = await rewritten.run(feeds).catch(() => undefined);
  if (found === undefined) return Infinity;
  return Math.max(0, ...original.outputNames.map((name) => distance(expected[name].data, found[name].data)));
}

/** Open dimensions are 3; whole numbers are small enough to be tokens. */
function feedsFor(session: InferenceSession): Record<string, Tensor> {
  const { Tensor } = loadOnnxRuntime();
  const feeds: Record<string, Tensor> = {};
  for (const input of session.inputMetadata) {
    if (!input.isTensor) continue;
    const dims = input.shape.map((dim) => (typeof dim === 'number' ? dim : 3));
    const count = Math.min(
      1e6,
      dims.reduce((a, b) => a * b, 1),
    );
    const numbers = Array.from({ length: count }, (_, i) => (i * 7) % 5);
    feeds[input.name] =
      input.type === 'int64'
        ? new Tensor('int64', BigInt64Array.from(numbers, BigInt), dims)
        : new Tensor(
            'float32',
            Float32Array.from(numbers, (n) => n - 2),
            dims,
          );
  }
  return feeds;
}

function distance(a: unknown, b: unknown): number {
  if (!(a instanceof Float32Array) || !(b instanceof Float32Array)) return 0;
  if (a.length !== b.length) return Infinity;
  const scale = a.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
  if (!Number.isFinite(scale) || scale === 0) return 0;
  return a.reduce((max, v, i) => Math.max(max, Math.abs(v - b[i])), 0) / scale;
}
