/** Runs cases in child processes, under a sanitizer where one is asked for, and gathers what came of them. */
import { randomFor } from '../fuzz/random.js';
import { Child } from '../fuzz/child.js';
import { type Sanitizer, underSanitizer } from '../loader/sanitizer.js';
import { randomCase } from './cases.js';
import { show } from './run-case.js';
import type { FromWorker, Job } from './worker.js';

/** Milliseconds; more than a busy machine takes for one case under a sanitizer. */
const HANG = 90_000;

export interface FuzzReport {
  readonly cases: number;
  readonly results: Readonly<Record<string, number>>;
  readonly defects: readonly string[];
}

export async function fuzzSessions(
  { seed, first, end }: Job,
  { sanitizer, deadline = Infinity }: { sanitizer?: Sanitizer; deadline?: number } = {},
): Promise<FuzzReport> {
  const results: Record<string, number> = {};
  const defects: string[] = [];
  const watched = sanitizer && underSanitizer(sanitizer);
  const worker = new Child<FromWorker>('../session-fuzz/worker.js', [], watched?.env);
  let at = first;
  while (at < end && Date.now() < deadline) {
    if (!worker.isRunning) worker.send({ seed, first: at, end } satisfies Job);
    const message = await worker.next(HANG);
    if ('done' in message) break;
    if ('ended' in message) {
      defects.push(
        `case ${at}: the process ended: ${message.ended}; ${show(randomCase(randomFor(seed, at)))}`,
      );
      at++;
      continue;
    }
    const { index, outcome, shown } = message;
    results[outcome.result] = (results[outcome.result] ?? 0) + 1;
    if (outcome.defect !== undefined) defects.push(`case ${index}: ${outcome.defect}; ${shown}`);
    at = index + 1;
  }
  // It ends by itself, when it also looks for leaks.
  if (at >= end) await worker.ended();
  else worker.stop();
  defects.push(...(watched?.reports() ?? []));
  return { cases: at - first, results, defects };
}
