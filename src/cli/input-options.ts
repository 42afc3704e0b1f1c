// The options that say what the models are fed and how they are run: the same for `validate` and for calibration.
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { type Device, DEVICES } from '../device.js';
import { errorMessage } from '../progress.js';
import type { InputOptions } from '../inputs/index.js';
import { repeated, shapes, wholeNumber } from './parsers.js';

export interface InputFlags {
  readonly inputs?: string[];
  readonly shape?: Record<string, number[]>;
  readonly seed?: number;
  readonly count?: number;
}

export function addInputOptions(command: Command): Command {
  return command
    .option(
      '--inputs <path>',
      'test_data_set folders or .npz files; may be repeated (default: seeded random inputs)',
      repeated,
    )
    .option('--shape <name:dims>', 'shape of a random input, e.g. x:1,3,48,320; may be repeated', shapes)
    .option('--seed <n>', 'seed of the random inputs (default: 0)', wholeNumber(0))
    .option('--count <n>', 'number of random data sets (default: 1)', wholeNumber(1));
}

export function inputOptions({ inputs, shape, seed, count }: InputFlags): InputOptions {
  return {
    ...(inputs ? { paths: inputs } : {}),
    ...(shape ? { shapes: shape } : {}),
    ...(seed === undefined ? {} : { seed }),
    ...(count === undefined ? {} : { count }),
  };
}

export function deviceOption(description: string): Option {
  return new Option('--device <name>', `${description}; auto takes the GPU where it works`).choices(DEVICES);
}

export interface SessionFlags {
  readonly device?: Device;
  readonly provider?: string[];
  readonly threads?: number;
  readonly sessionOptions?: string;
}

export function addSessionOptions(command: Command): Command {
  return command
    .addOption(deviceOption('where the models run (default: cpu)').conflicts('provider'))
    .option(
      '--provider <name>',
      'execution provider, e.g. cuda; repeat in order of preference (default: cpu)',
      repeated,
    )
    .option('--threads <n>', 'threads of one operator (default: one per core)', wholeNumber(1))
    .option('--session-options <json>', 'further onnxruntime-node session options: JSON, or a file of it');
}

/** @throws BlockrankError INVALID_ARGUMENT for text that is no JSON object */
export async function sessionOptions(flags: SessionFlags): Promise<ort.InferenceSession.SessionOptions> {
  return {
    ...(flags.sessionOptions === undefined ? {} : await parseObject(flags.sessionOptions)),
    ...(flags.provider ? { executionProviders: flags.provider } : {}),
    ...(flags.threads ? { intraOpNumThreads: flags.threads } : {}),
  };
}

async function parseObject(textOrPath: string): Promise<Record<string, unknown>> {
  try {
    const inline = textOrPath.trimStart().startsWith('{');
    const value: unknown = JSON.parse(inline ? textOrPath : await readFile(textOrPath, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
    throw new Error('it is no object');
  } catch (cause) {
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `--session-options must be a JSON object or a file that holds one, for example {"intraOpNumThreads": 2}: ${errorMessage(cause)}`,
      { cause },
    );
  }
}
