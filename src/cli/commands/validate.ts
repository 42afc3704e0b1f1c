// `blockrank validate original.onnx rewritten.onnx`
import type { Command } from 'commander';
import type { Tolerance } from '../../validation/compare.js';
import type { Timing } from '../../validation/timing.js';
import { validate, type OutputComparison, type ValidationReport } from '../../validation/validate.js';
import { count, formatMilliseconds, formatNumber } from '../../format.js';
import { groupBy } from '../group.js';
import {
  addInputOptions,
  addSessionOptions,
  type InputFlags,
  inputOptions,
  sessionOptions,
  type SessionFlags,
} from '../input-options.js';
import { tolerances, wholeNumber, type Tolerances } from '../parsers.js';
import { runCommand } from '../run.js';
import { formatTable } from '../table.js';

interface Flags extends InputFlags, SessionFlags {
  readonly atol?: Tolerances;
  readonly rtol?: Tolerances;
  readonly runs?: number;
  readonly plugin: boolean;
}

export function addValidate(program: Command): void {
  const command = program
    .command('validate')
    .summary('run original and rewritten model on the same inputs and compare every output')
    .description(
      'Runs both models in onnxruntime-node on the same inputs and compares every output. Exit code 1 where they differ by more than the tolerance.',
    )
    .argument('<original>', 'ONNX file')
    .argument('<rewritten>', 'ONNX file to compare with it')
    .option(
      '--atol <value|output:value>',
      'absolute tolerance, for all outputs or one; may be repeated (default: 1e-3)',
      tolerances,
    )
    .option('--rtol <value|output:value>', 'relative tolerance, likewise (default: 1e-3)', tolerances)
    .option('--runs <n>', 'timed runs of each model; 0 for none (default: 5)', wholeNumber(0))
    .option('--no-plugin', 'run the rewritten model without the custom ops, by its own functions');
  addSessionOptions(addInputOptions(command)).action((original: string, rewritten: string, flags: Flags) =>
    runCommand(command, async ({ signal, onProgress, width }) => {
      const report = await validate(original, rewritten, {
        inputs: inputOptions(flags),
        ...(flags.atol?.all === undefined ? {} : { atol: flags.atol.all }),
        ...(flags.rtol?.all === undefined ? {} : { rtol: flags.rtol.all }),
        outputs: byOutput(flags),
        ...(flags.runs === undefined ? {} : { runs: flags.runs }),
        sessionOptions: await sessionOptions(flags),
        ...(flags.device ? { device: flags.device } : {}),
        plugin: flags.plugin,
        signal,
        onProgress,
      });
      return { json: report, text: formatValidation(report, width), failed: !report.passed };
    }),
  );
}

function byOutput(flags: Flags): Record<string, Partial<Tolerance>> {
  const merged: Record<string, Partial<Tolerance>> = {};
  for (const kind of ['atol', 'rtol'] as const) {
    for (const [output, value] of Object.entries(flags[kind]?.byOutput ?? {})) {
      merged[output] = { ...merged[output], [kind]: value };
    }
  }
  return merged;
}

/** A row an output: where it was compared on several data sets, the one that needs the largest tolerance. */
export function formatValidation(report: ValidationReport, width = Infinity): string {
  const groups = groupBy(report.comparisons, ({ output, compared }) => `${compared} ${output}`);
  const worst = groups.map((group) => group.reduce(lessAgreeing));
  const failures = report.comparisons.filter((comparison) => !comparison.passed);
  const passed = `${report.passed ? 'PASSED' : 'FAILED'}: ${count(report.comparisons.length, 'comparison')} on ${count(report.dataSets.length, 'data set')}, ${failures.length} failed; plugin ${report.plugin ? 'used' : 'not used'}`;
  return [
    formatTable(ERROR_COLUMNS, worst.map(errorRow), width),
    formatTable(TOLERANCE_COLUMNS, worst.map(toleranceRow), width),
    ...(failures.length ? [formatTable(FAILURE_COLUMNS, failures.slice(0, 20).map(failureRow), width)] : []),
    ...(failures.length > 20 ? [`… and ${failures.length - 20} more failures`] : []),
    ...(report.timing ? [timingOf(report, report.timing)] : []),
    passed,
  ].join('\n\n');
}

/** Which data set was timed, where there are others. */
function timingOf({ dataSets }: ValidationReport, timing: NonNullable<ValidationReport['timing']>): string {
  const others = dataSets.length > 1 ? ` (on ${timing.dataSet} alone)` : '';
  return `${formatTiming(timing)}${others}`;
}

export function formatTiming({ original, rewritten, speedup, runs }: Timing): string {
  return `time, median of ${runs}: original ${formatMilliseconds(original)}, rewritten ${formatMilliseconds(rewritten)}, ratio ${formatNumber(speedup)}`;
}

/** Of two comparisons the one that failed, or needs the larger tolerance. */
function lessAgreeing(a: OutputComparison, b: OutputComparison): OutputComparison {
  if (a.passed !== b.passed) return a.passed ? b : a;
  return b.required.atol > a.required.atol ? b : a;
}

const right = (title: string) => ({ title, align: 'right' }) as const;

const ERROR_COLUMNS = [
  { title: 'output' },
  right('max abs'),
  right('mean abs'),
  right('p99 abs'),
  right('max rel'),
  right('mean rel'),
  right('p99 rel'),
  right('cosine'),
  right('SNR dB'),
];

function errorRow({ output, statistics }: OutputComparison): string[] {
  if (!statistics) return [output, ...Array<string>(8).fill('-')];
  const { absolute, relative, cosine, signalToNoise } = statistics;
  const spreads = [absolute.max, absolute.mean, absolute.p99, relative.max, relative.mean, relative.p99];
  return [output, ...spreads.map(formatNumber), cosine.toFixed(6), formatNumber(signalToNoise)];
}

const TOLERANCE_COLUMNS = [
  { title: 'output' },
  { title: 'compared' },
  { title: 'type' },
  { title: 'data set' },
  right('atol'),
  right('rtol'),
  right('passes with atol'),
  right('or with rtol'),
  { title: 'result' },
];

function toleranceRow(row: OutputComparison): string[] {
  return [
    row.output,
    row.compared,
    `${row.type} [${row.dims.join(', ')}]`,
    row.dataSet,
    ...[row.tolerance.atol, row.tolerance.rtol, row.required.atol, row.required.rtol].map(formatNumber),
    row.passed ? 'pass' : 'FAIL',
  ];
}

const FAILURE_COLUMNS = [{ title: 'failed' }, { title: 'data set' }, { title: 'why', wrap: true }];

function failureRow({ output, dataSet, failure, worst }: OutputComparison): string[] {
  const where = worst
    ? `; worst at [${worst.index.join(', ')}]: ${worst.candidate}, expected ${worst.reference}`
    : '';
  return [output, dataSet, `${failure ?? ''}${where}`];
}
