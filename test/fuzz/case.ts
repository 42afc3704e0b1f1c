// One damaged file through the rewriter, and what came of it.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyPlan } from '../../graph-rewriter/apply.js';
import { densifyModel } from '../../graph-rewriter/densify.js';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { factorize } from '../../graph-rewriter/factorize/index.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { planRewrite } from '../../graph-rewriter/plan.js';
import type { FactorizeLayer, PlanOptions } from '../../graph-rewriter/types.js';
import { anyFactors } from '../graph-rewriter/helpers/any.js';
import { PLANS, type Seed } from './corpus.js';
import { mutate } from './mutations.js';
import { randomFor } from './random.js';

export interface Outcome {
  /** `rewritten`, `densified`, or the code of the error. */
  readonly result: string;
  readonly seed: string;
  readonly mutations: readonly string[];
  /** What should not have been: not an error that a user can act on, a file left behind, a model that is not valid. */
  readonly defect?: string;
  /** Relative error of the worst layer, where factors were fitted and not made up. */
  readonly error?: number;
}

/** Where case `index` reads and writes. */
export const paths = (folder: string) => ({
  source: join(folder, 'm.onnx'),
  target: join(folder, 'o.onnx'),
});

/** Leaves source and, where there is one, target in `folder`, which must hold nothing else. */
export async function runCase(
  seeds: readonly Seed[],
  seedNumber: number,
  index: number,
  folder: string,
): Promise<Outcome> {
  const choice = randomFor(seedNumber, index);
  const seed = choice.oneOf(seeds);
  const { bytes, applied } = mutate(seed.tree, choice.oneOf(seeds).tree, choice);
  const { source, target } = paths(folder);
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  writeFileSync(source, bytes);
  if (choice.chance(4)) writeFileSync(join(folder, 'w.data'), new Uint8Array(choice.pick(4000)));
  const about = { seed: seed.name, mutations: applied };
  const before = readdirSync(folder);
  try {
    // Fitting takes a hundred times as long as the rest: one case in twenty.
    const isFitted = seed.direction === 'rewrite' && choice.chance(20);
    const done =
      seed.direction === 'densify'
        ? await densified(source, target)
        : await rewritten(source, target, isFitted ? PLANS[0] : choice.oneOf(PLANS), isFitted);
    const defect = (await validityDefect(source, target, seed)) ?? sourceDefect(source, bytes);
    return { ...about, ...done, ...(defect && { defect }) };
  } catch (error) {
    if (!(error instanceof BlockrankError))
      return { ...about, result: 'crash', defect: (error as Error).stack ?? String(error) };
    const left = readdirSync(folder).filter((name) => !before.includes(name));
    const defect = left.length > 0 ? `left ${left.join(', ')}` : sourceDefect(source, bytes);
    return { ...about, result: error.code, ...(defect && { defect }) };
  }
}

async function densified(source: string, target: string) {
  await densifyModel(source, target);
  return { result: 'densified' };
}

async function rewritten(source: string, target: string, options: PlanOptions, isFitted: boolean) {
  const plan = planRewrite(await inspectModel(source), options);
  const fit: FactorizeLayer = (_, weight, spec) => factorize({ weight, spec, iterations: 2 });
  const report = await applyPlan(source, target, plan, { factorize: isFitted ? fit : anyFactors });
  const errors = report.layers.flatMap(({ result }) => result?.relativeError ?? []);
  const isExact = isFitted && errors.length > 0;
  return {
    result: errors.length > 0 ? 'rewritten' : 'copied',
    ...(isExact && { error: Math.max(...errors) }),
  };
}

/** What was written must be read again where the source was, and a rewritten model must be one that `densify` takes. */
async function validityDefect(
  source: string,
  target: string,
  { direction }: Seed,
): Promise<string | undefined> {
  if (!existsSync(target)) return 'no target';
  const back = `${target}.dense`;
  try {
    if (await isReadable(source)) await inspectModel(target);
    if (direction === 'rewrite') await densifyModel(target, back);
    return undefined;
  } catch (error) {
    return `the target is not valid: ${(error as Error).stack}`;
  } finally {
    rmSync(back, { force: true });
  }
}

const isReadable = (path: string) =>
  inspectModel(path).then(
    () => true,
    () => false,
  );

function sourceDefect(source: string, bytes: Uint8Array): string | undefined {
  return Buffer.compare(Uint8Array.from(readFileSync(source)), bytes) === 0
    ? undefined
    : 'the source was changed';
}
