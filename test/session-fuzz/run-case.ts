/** One case through session creation and runs in onnxruntime-node, with the plugin registered. */
import * as ort from 'onnxruntime-node';
import { decodeHalf } from '../ops/helpers/values.js';
import type { Case } from './cases.js';
import { judge, type Sizes } from './judge.js';
import { feedsOf, modelOf } from './model.js';
import { expectedOf } from './reference.js';

export interface Outcome {
  readonly result: 'compared' | 'refused at creation' | 'refused at run';
  /** What should not have been. */
  readonly defect?: string;
}

export async function runCase(made: Case): Promise<Outcome> {
  const verdict = judge(made);
  const answer = await attempt(made);
  if (typeof verdict === 'string')
    return 'error' in answer
      ? answer
      : { result: 'compared', defect: `accepted, although wrong: ${verdict}` };
  if ('error' in answer) return { ...answer, defect: `refused, although right: ${answer.error}` };
  const defect = answer.outputs.map((Y) => compare(Y, made, verdict)).find((text) => text !== undefined);
  return { result: 'compared', ...(defect !== undefined && { defect }) };
}

type Answer =
  | { readonly outputs: readonly ort.Tensor[] }
  | { readonly result: 'refused at creation' | 'refused at run'; readonly error: string };

async function attempt(made: Case): Promise<Answer> {
  let session: ort.InferenceSession;
  try {
    session = await ort.InferenceSession.create(modelOf(made), {
      intraOpNumThreads: made.threads,
      graphOptimizationLevel: made.optimize ? 'all' : 'disabled',
      logSeverityLevel: 4,
    });
  } catch (error) {
    return { result: 'refused at creation', error: (error as Error).message };
  }
  try {
    const runs = Array.from({ length: made.runs }, () => session.run(feedsOf(made)));
    return { outputs: (await Promise.all(runs)).map(({ Y }) => Y) };
  } catch (error) {
    return { result: 'refused at run', error: (error as Error).message };
  } finally {
    await session.release();
  }
}

/** Where int8 meets values that are not finite, the order of scales is free: only type and shape are compared. */
function compare(Y: ort.Tensor, made: Case, sizes: Sizes): string | undefined {
  const X = made.inputs[0].tensor;
  if (Y.type !== X.type) return `Y is ${Y.type}, X is ${X.type}`;
  const dims = [...X.dims.slice(0, -1), sizes.m];
  if (Y.dims.join() !== dims.join()) return `Y has the shape ${Y.dims.join()}, expected ${dims.join()}`;
  const isFinite = made.inputs.every(({ tensor }) => tensor.data.every(Number.isFinite));
  if ((sizes.quantized || sizes.compute !== 'float') && !isFinite) return undefined;
  const { y, tolerance } = expectedOf(made, sizes);
  const stored = Y.data as Float32Array | Uint16Array;
  const limit = X.type === 'float16' ? 65504 : 3.4e38;
  for (let i = 0; i < y.length; i++) {
    const found = X.type === 'float16' ? decodeHalf(stored[i]) : stored[i];
    if (tolerance[i] === Infinity || Object.is(y[i], found) || y[i] === found) continue;
    if (Math.abs(found - y[i]) <= tolerance[i]) continue;
    const overflows = Math.abs(found) === Infinity && Math.sign(found) === Math.sign(y[i]);
    if (overflows && Math.abs(y[i]) + tolerance[i] >= limit) continue;
    return `element ${i}: expected ${y[i]} ± ${tolerance[i]}, found ${found}`;
  }
  return undefined;
}

/** The case in a line. */
export const show = ({ op, inputs, changes, ...rest }: Case) =>
  `${op}(${inputs.map(({ name, tensor, source }) => `${name} ${tensor.type}[${tensor.dims.join()}] ${source}`).join('; ')}) ` +
  `${JSON.stringify(rest)} changed: ${changes.join(', ')}`;
