// What all commands share: progress, Ctrl-C, JSON or text on stdout, errors in one sentence, the exit code.
import type { Command } from 'commander';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { errorMessage, type OnProgress } from '../progress.js';
import { showProgress } from './progress.js';

export const EXIT = { ok: 0, failed: 1, userError: 2, bug: 70, interrupted: 130 } as const;

export interface CommandContext {
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
  /** Columns of the terminal on stdout; infinite where there is none. */
  readonly width: number;
}

export interface CommandResult {
  /** What `--json` prints. */
  readonly json: unknown;
  /** What people see. */
  readonly text: string;
  /** The command ran and its answer is no: exit code 1. */
  readonly failed?: boolean;
}

export interface GlobalOptions {
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** Runs a command's body and sets the process's exit code. */
export async function runCommand(
  command: Command,
  body: (context: CommandContext) => Promise<CommandResult>,
): Promise<void> {
  const globals: GlobalOptions = command.optsWithGlobals();
  const abort = new AbortController();
  const stop = () => abort.abort(new Error('interrupted'));
  // Once: a second Ctrl-C ends the process as usual.
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const progress = showProgress();
  try {
    const width = process.stdout.isTTY ? process.stdout.columns : Infinity;
    const result = await body({ signal: abort.signal, onProgress: progress.onProgress, width });
    progress.stop();
    process.stdout.write(globals.json ? toJson(result.json) : `${result.text}\n`);
    process.exitCode = result.failed ? EXIT.failed : EXIT.ok;
  } catch (error) {
    progress.stop();
    process.exitCode = reportError(error, globals);
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

/** Prints `error` and gives the exit code for it. A stack is shown for our own faults, and for others on request. */
export function reportError(error: unknown, globals: GlobalOptions): number {
  const code = errorCode(error);
  const stack = globals.debug || process.env.BLOCKRANK_DEBUG === '1' || code === 'UNEXPECTED';
  const text = stack && error instanceof Error ? (error.stack ?? error.message) : errorMessage(error);
  process.stderr.write(`blockrank: ${text}\n`);
  if (globals.json) process.stdout.write(toJson({ error: { code, message: errorMessage(error) } }));
  if (code === 'ABORTED') return EXIT.interrupted;
  return code === 'UNEXPECTED' ? EXIT.bug : EXIT.userError;
}

function errorCode(error: unknown): string {
  if (error instanceof BlockrankError) return error.code;
  // A system call that failed (disk full, no permission) is no fault of the program.
  return error instanceof Error && 'syscall' in error ? 'IO' : 'UNEXPECTED';
}

/** JSON has no infinity and no NaN: they become the strings 'Infinity', '-Infinity', 'NaN'. */
export function toJson(value: unknown): string {
  const replacer = (_: string, item: unknown) =>
    typeof item === 'number' && !Number.isFinite(item) ? String(item) : item;
  return `${JSON.stringify(value, replacer, 2)}\n`;
}
