// `blockrank report original.onnx rewritten.onnx --inputs data.npz --html report.html`
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { renderReport } from '../../report/html.js';
import { report, type ReportOptions } from '../../report/report.js';
import type { LayerReport, ModelAgreement, ModelReport } from '../../report/types.js';
import { formatBytes, formatNumber, formatPercent, formatShape } from '../../format.js';
import {
  addInputOptions,
  addSessionOptions,
  type InputFlags,
  inputOptions,
  sessionOptions,
  type SessionFlags,
} from '../input-options.js';
import { runCommand } from '../run.js';
import { formatTable } from '../table.js';

interface Flags extends InputFlags, SessionFlags {
  readonly html?: string;
}

export function addReport(program: Command): void {
  const command = program
    .command('report')
    .summary('what a rewrite cost and saved, layer by layer, beside int8 and int4')
    .description(
      'Compares a rewritten model with its original: bytes and error of each layer, agreement of the outputs, and the same for int8 and int4 quantization of the same dense weights.',
    )
    .argument('<original>', 'ONNX file')
    .argument('<rewritten>', 'what rewrite made of it')
    .option('--html <file>', 'write the report as one HTML page too');
  addSessionOptions(addInputOptions(command)).action((original: string, rewritten: string, flags: Flags) =>
    runCommand(command, async ({ signal, onProgress, width }) => {
      const found = await report(original, rewritten, await reportOptions(flags, { signal, onProgress }));
      if (flags.html !== undefined) await writeFile(flags.html, renderReport(found));
      return { json: found, text: formatReport(found, width) };
    }),
  );
}

async function reportOptions(
  flags: Flags,
  watch: Required<Pick<ReportOptions, 'signal' | 'onProgress'>>,
): Promise<ReportOptions> {
  return {
    inputs: inputOptions(flags),
    sessionOptions: await sessionOptions(flags),
    ...(flags.device ? { device: flags.device } : {}),
    ...watch,
  };
}

const right = (title: string) => ({ title, align: 'right' }) as const;

export function formatReport(
  { layers, models, kernelError, findings }: ModelReport,
  width = Infinity,
): string {
  const kernel = kernelError.map(({ output, relativeError }) => `${output} ${formatNumber(relativeError)}`);
  return [
    formatTable(LAYER_COLUMNS, layers.map(layerRow), width),
    formatTable(MODEL_COLUMNS, models.flatMap(modelRows), width),
    `kernels beside the model's own functions, relative error: ${kernel.join(', ')}`,
    ...findings,
  ].join('\n\n');
}

const LAYER_COLUMNS = [
  { title: 'layer' },
  right('in × out'),
  { title: 'operator', minor: true },
  right('rank'),
  right('bytes'),
  right('was'),
  right('weight error'),
  right('on activations'),
  right('int8'),
  right('int4'),
];

function layerRow({
  id,
  shape,
  op,
  spec,
  bytesAfter,
  bytesBefore,
  errors,
  quantized,
}: LayerReport): string[] {
  const activation = (value: number | null) => (value === null ? '-' : formatNumber(value));
  return [
    id,
    formatShape(shape),
    op,
    String(spec.rank),
    formatBytes(bytesAfter),
    formatBytes(bytesBefore),
    formatNumber(errors.weight),
    activation(errors.activation),
    ...Object.values(quantized).map((rival) => formatNumber(rival.activation ?? rival.weight)),
  ];
}

const MODEL_COLUMNS = [
  { title: 'model' },
  right('bytes'),
  { title: 'output', minor: true },
  right('mean cosine'),
  right('relative error'),
  right('same top-1'),
  right('perplexity'),
];

function modelRows({ name, bytes, outputs }: ModelAgreement): string[][] {
  return outputs.map(({ output, cosine, relativeError, sameTop1, perplexity }) => [
    name,
    formatBytes(bytes),
    output,
    cosine.toFixed(4),
    formatNumber(relativeError),
    sameTop1 === null ? '-' : formatPercent(sameTop1),
    perplexity === null ? '-' : perplexity.toFixed(2),
  ]);
}
