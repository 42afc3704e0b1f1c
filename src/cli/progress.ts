// Shows progress on stderr: a bar on a terminal, a line now and then elsewhere.
import { Presets, SingleBar } from 'cli-progress';
import type { OnProgress } from '../progress.js';

export interface ProgressDisplay {
  readonly onProgress: OnProgress;
  /** Clears the bar so that other output can follow. */
  readonly stop: () => void;
}

/** Least milliseconds between two lines of one step where there is no terminal. */
const QUIET_INTERVAL = 5000;

export function showProgress(stream: NodeJS.WriteStream = process.stderr): ProgressDisplay {
  return stream.isTTY ? bar(stream) : lines(stream);
}

function bar(stream: NodeJS.WriteStream): ProgressDisplay {
  const shown = new SingleBar(
    { stream, format: '{bar} {percentage}% {step}', clearOnComplete: true, hideCursor: true, barsize: 24 },
    Presets.shades_classic,
  );
  return {
    onProgress: ({ step, done, total }) => {
      const payload = { step: step.slice(0, Math.max(8, (stream.columns || 80) - 34)) };
      // An unknown total shows as an empty bar with the number done.
      if (total === null) payload.step = `${payload.step} (${done})`;
      if (!shown.isActive) shown.start(total ?? 1, 0, payload);
      shown.setTotal(total ?? 1);
      shown.update(total === null ? 0 : done, payload);
    },
    stop: () => shown.stop(),
  };
}

function lines(stream: NodeJS.WritableStream): ProgressDisplay {
  let last = { step: '', time: 0 };
  return {
    onProgress: ({ step, done, total }) => {
      const now = Date.now();
      if (step === last.step && now - last.time < QUIET_INTERVAL) return;
      last = { step, time: now };
      stream.write(`${step}${counted(done, total)}\n`);
    },
    stop: () => undefined,
  };
}

function counted(done: number, total: number | null): string {
  if (total === null) return ` (${Math.floor(done)})`;
  return total > 1 ? ` (${Math.floor(done)} of ${total})` : '';
}
