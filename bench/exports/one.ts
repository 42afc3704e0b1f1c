// One file: `node one.js FILE RANK [PATTERN…]` prints what came of it as JSON. TMPDIR needs room for two models of its size.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LayerInfo, PlanOptions, RewriteReport } from '../../graph-rewriter/types.js';
import { applyPlan, inspectModel, planRewrite, rewrite } from '../../src/index.js';
import { errorMessage } from '../../src/progress.js';
import { exactFactors } from './exact.js';
import { differences, type Outputs, outputsOf } from './outputs.js';

export interface Looked {
  readonly producer: string;
  /** In which the weights that can be replaced are stored. */
  readonly types: readonly string[];
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly rewritten: number;
  /** How many layers stayed dense for each reason. */
  readonly kept: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** MiB that the rewrite took at its peak. */
  readonly peak: number;
  /** Why the original cannot be run; absent where it can, and then all that follows is there. */
  readonly notRun?: string;
  /** Between the original and the exact rewrite, for each sample (`differences`). */
  readonly exact?: { readonly plugin: readonly number[]; readonly functions: readonly number[] };
  /** Between the kernels and the portable functions of the fitted one. */
  readonly fitted?: readonly number[];
}

/** Where activations are rounded to 8 bits one sample says little: whether a value falls beside the middle of two steps is chance. */
const samplesFor = (types: readonly string[]) => (types.includes('int8') ? 8 : 1);

async function look(file: string, options: PlanOptions, folder: string): Promise<Omit<Looked, 'producer'>> {
  const target = join(folder, 'fitted.onnx');
  const start = performance.now();
  const report = await rewrite(file, target, { ...options, keepDenseIfSlower: false });
  const about = { ...summary(report), seconds: (performance.now() - start) / 1000, peak: peak() };
  const count = samplesFor(about.types);
  const original = await outputsOf(file, false, count).catch(errorMessage);
  if (typeof original === 'string') return { ...about, notRun: original };
  const fitted = differences(await outputsOf(target, false, count), await outputsOf(target, true, count));
  return { ...about, fitted, exact: await compareExact(file, options, original, folder) };
}

async function compareExact(file: string, options: PlanOptions, original: Outputs[], folder: string) {
  const target = join(folder, 'exact.onnx');
  const plan = planRewrite(await inspectModel(file), { ...options, rank: 1 });
  await applyPlan(file, target, plan, { factorize: exactFactors });
  const compare = async (plugin: boolean) =>
    differences(original, await outputsOf(target, plugin, original.length));
  return { functions: await compare(false), plugin: await compare(true) };
}

function summary({ layers, bytesBefore, bytesAfter }: RewriteReport) {
  const kept: Record<string, number> = {};
  for (const { plan } of layers) if ('keep' in plan) kept[plan.keep.code] = (kept[plan.keep.code] ?? 0) + 1;
  const done = layers.filter(({ result }) => result !== undefined).map(({ layer }) => layer);
  const stored = ({ stored, dtype }: LayerInfo) => stored?.dtype ?? dtype;
  return { bytesBefore, bytesAfter, kept, rewritten: done.length, types: [...new Set(done.map(stored))] };
}

const peak = () => process.resourceUsage().maxRSS / 1024;

const [file, rank, ...include] = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'blockrank-exports-'));
try {
  const { producer } = await inspectModel(file);
  const options = {
    structure: 'low-rank',
    rank: Number(rank),
    minSize: 1,
    ...(include.length > 0 && { include }),
  } as const;
  const looked: Looked = { producer, ...(await look(file, options, folder)) };
  // JSON has no infinity.
  const finite = (_: string, value: unknown) => (value === Infinity ? Number.MAX_VALUE : value);
  process.stdout.write(JSON.stringify(looked, finite));
} finally {
  await rm(folder, { recursive: true });
}
