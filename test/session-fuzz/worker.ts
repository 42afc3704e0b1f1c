/** A child process that runs cases and tells what came of each: it may die of one. */
import { register } from '../../src/loader/register.js';
import { randomFor } from '../fuzz/random.js';
import { randomCase } from './cases.js';
import { type Outcome, runCase, show } from './run-case.js';

export interface Job {
  readonly seed: number;
  readonly first: number;
  readonly end: number;
}
export type FromWorker =
  | {
      readonly index: number;
      readonly changes: readonly string[];
      readonly shown?: string;
      readonly outcome: Outcome;
    }
  | { readonly done: true };

async function work({ seed, first, end }: Job): Promise<void> {
  register();
  for (let index = first; index < end; index++) {
    const made = randomCase(randomFor(seed, index));
    const outcome = await runCase(made);
    const shown = outcome.defect === undefined ? {} : { shown: show(made) };
    process.send!({ index, changes: made.changes, outcome, ...shown } satisfies FromWorker);
  }
  process.send!({ done: true } satisfies FromWorker);
  process.disconnect();
}

process.once('message', (job: Job) => void work(job));
