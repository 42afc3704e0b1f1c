// A process that runs cases: told a range, it says before each case which one, and after it what came of it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Outcome, runCase } from './case.js';
import { loadCorpus } from './corpus.js';

export interface Job {
  readonly seed: number;
  readonly first: number;
  readonly end: number;
  /** Further folders of models to damage. */
  readonly corpora: readonly string[];
}

export type FromWorker =
  | { readonly folder: string }
  | { readonly started: number }
  | { readonly index: number; readonly outcome: Outcome; readonly rss: number };

const tell = (message: FromWorker) =>
  new Promise<void>((resolve) => process.send!(message, undefined, {}, () => resolve()));

async function work({ seed, first, end, corpora }: Job): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'blockrank-fuzz-'));
  await tell({ folder });
  const seeds = await loadCorpus(folder, corpora);
  for (let index = first; index < end; index++) {
    await tell({ started: index });
    const outcome = await runCase(seeds, seed, index, folder);
    const looked = new Promise((resolve) => process.once('message', resolve));
    await tell({ index, outcome, rss: process.memoryUsage.rss() });
    // The parent looks at the files before they are replaced.
    await looked;
  }
  rmSync(folder, { recursive: true });
  process.disconnect();
}

process.once('message', (job) => void work(job as Job));
