// Times two ways of doing the same thing, turn by turn, so that both see the same state of the machine.
import { throwIfAborted } from '../progress.js';

export interface Timing {
  /** Median milliseconds. */
  readonly original: number;
  readonly rewritten: number;
  /** original / rewritten: above 1 the rewritten model is faster. */
  readonly speedup: number;
  /** How often each was timed. */
  readonly runs: number;
}

export interface TimingOptions {
  readonly runs: number;
  /** Turns before the timed ones. */
  readonly warmUp: number;
  readonly signal?: AbortSignal | undefined;
  readonly onTurn?: (turn: number) => void;
}

export async function timeAlternately(
  original: () => Promise<unknown>,
  rewritten: () => Promise<unknown>,
  { runs, warmUp, signal, onTurn }: TimingOptions,
): Promise<Timing> {
  const times = { original: [] as number[], rewritten: [] as number[] };
  for (let turn = 0; turn < warmUp + runs; turn++) {
    throwIfAborted(signal);
    // Who goes first changes every turn: the second finds warmer caches and a hotter processor.
    const pair = [
      { run: original, into: times.original },
      { run: rewritten, into: times.rewritten },
    ];
    if (turn % 2 === 1) pair.reverse();
    for (const { run, into } of pair) {
      const start = performance.now();
      await run();
      if (turn >= warmUp) into.push(performance.now() - start);
    }
    onTurn?.(turn + 1);
  }
  const medians = { original: median(times.original), rewritten: median(times.rewritten) };
  return { ...medians, speedup: medians.original / medians.rewritten, runs };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
