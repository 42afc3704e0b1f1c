// npm run bench:cpu [-- --layers gpt2s --tokens 1,128 --variants blast,int8]: our operators beside what else a user could run, in one process.
//
// Variants of one layer are timed turn by turn and compared as ratios of medians, so that a machine whose speed drifts drifts
// for all. Up to 16 tokens each run goes through enough copies of the layer that weights come from memory; from 5 on, outputs are
// the first row of each Y.
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-node';
import { formatTable } from '../../src/cli/table.js';
import { doctor } from '../../src/doctor.js';
import { register, unregister } from '../../src/loader/register.js';
import { type BenchLayer, LAYERS } from '../layers.js';
import { layerModel, VARIANTS, type Variant, variantBytes } from './models.js';

const OUT_OF_CACHE = 96 << 20;
const LEAST_SECONDS = 0.02;

interface Cell {
  readonly layer: string;
  readonly tokens: number;
  readonly milliseconds: Partial<Record<Variant, number>>;
  /** 2·in·out over BLAST's operations a token; bytes likewise. */
  readonly flopRatio: number;
  readonly byteRatio: number;
  /** Dense's bytes over those of each variant. */
  readonly byteRatios: Partial<Record<Variant, number>>;
}

async function openVariant(layer: BenchLayer, variant: Variant, copies: number, threads: number) {
  // The portable function is inlined only where the operator is unknown.
  if (variant === 'blast-plain') unregister();
  else register();
  return ort.InferenceSession.create(layerModel(layer, variant, copies), {
    intraOpNumThreads: threads,
    // A session's idle threads would otherwise spin into the turn of the next one.
    extra: { session: { force_spinning_stop: '1' } },
  });
}

async function timeRound(session: ort.InferenceSession, X: ort.Tensor): Promise<number> {
  const start = performance.now();
  let runs = 0;
  do {
    await session.run({ X });
    runs++;
  } while (performance.now() - start < LEAST_SECONDS * 1000);
  return (performance.now() - start) / runs;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

async function measure(
  layer: BenchLayer,
  variants: readonly Variant[],
  tokenCounts: readonly number[],
  threads: number,
): Promise<Cell[]> {
  const { in: n, out: m, blocks: b, rank: r } = layer;
  const cells: Cell[] = [];
  for (const [least, most] of [
    [1, 4],
    [5, 16],
    [17, Infinity],
  ]) {
    const group = tokenCounts.filter((tokens) => tokens >= least && tokens <= most);
    const many = most <= 16;
    if (group.length === 0) continue;
    const copies = (variant: Variant) => (many ? Math.ceil(OUT_OF_CACHE / variantBytes(layer, variant)) : 1);
    const sessions = new Map<Variant, ort.InferenceSession>();
    for (const variant of variants)
      sessions.set(variant, await openVariant(layer, variant, copies(variant), threads));
    for (const tokens of group) {
      const X = new ort.Tensor(
        'float32',
        Float32Array.from({ length: tokens * n }, (_, i) => Math.sin(i)),
        [tokens, n],
      );
      const times = new Map<Variant, number[]>(variants.map((variant) => [variant, []]));
      for (let round = -1; round < Number(values.rounds); round++)
        for (const [variant, session] of sessions) {
          const time = (await timeRound(session, X)) / copies(variant);
          if (round >= 0) times.get(variant)!.push(time);
        }
      const milliseconds = Object.fromEntries([...times].map(([variant, own]) => [variant, median(own)]));
      const flopRatio = (n * m) / (r * (n + m) + b * b * r);
      const byteRatio = variantBytes(layer, 'dense') / variantBytes(layer, 'blast');
      const byteRatios = Object.fromEntries(
        variants.map((variant) => [variant, variantBytes(layer, 'dense') / variantBytes(layer, variant)]),
      );
      cells.push({ layer: layer.name, tokens, milliseconds, flopRatio, byteRatio, byteRatios });
    }
    for (const session of sessions.values()) await session.release();
  }
  return cells;
}

/** Speed-ups over dense, and below each what its bytes (few tokens) or BLAST's operations allow. */
function report(cells: readonly Cell[], variants: readonly Variant[]): string {
  const others = variants.filter((variant) => variant !== 'dense');
  const rows = cells.map(({ layer, tokens, milliseconds: t, flopRatio, byteRatios }) => [
    layer,
    String(tokens),
    t.dense!.toFixed(3),
    ...others.map((variant) => {
      const ratio = t.dense! / t[variant]!;
      const bound = tokens >= 64 ? flopRatio : byteRatios[variant]!;
      return variant.startsWith('blast')
        ? `${ratio.toFixed(2)} (${Math.round((100 * ratio) / bound)} %)`
        : ratio.toFixed(2);
    }),
    flopRatio.toFixed(2),
  ]);
  const titles = ['layer', 'tokens', 'dense ms', ...others, 'FLOPs'];
  return formatTable(
    titles.map((title, i) => ({ title, align: i === 0 ? 'left' : 'right' })),
    rows,
  );
}

const { values } = parseArgs({
  options: {
    layers: { type: 'string', default: '' },
    tokens: { type: 'string', default: '1,4,16,64,128,512' },
    variants: { type: 'string', default: VARIANTS.join() },
    rounds: { type: 'string', default: '15' },
    threads: { type: 'string', default: String(cpus().length) },
    save: { type: 'string' },
  },
});
const tokenCounts = (values.tokens ?? '').split(',').map(Number);
const wanted = (values.variants ?? '').split(',');
const variants = VARIANTS.filter((variant) => variant === 'dense' || wanted.includes(variant));
const cells: Cell[] = [];
for (const layer of LAYERS.filter(({ name }) => name.includes(values.layers ?? ''))) {
  process.stderr.write(`${layer.name}\n`);
  cells.push(...(await measure(layer, variants, tokenCounts, Number(values.threads))));
}
register();
const { node, cpu, library, onnxruntime } = await doctor();
const result = {
  date: new Date().toISOString().slice(0, 10),
  machine: { node, cpu, isa: library.build?.isa, onnxruntime: onnxruntime.version, threads: values.threads },
  command: `npm run bench:cpu -- ${process.argv.slice(2).join(' ')}`.trim(),
  cells,
};
process.stdout.write(
  `speed over ONNX Runtime's fp32 MatMul; in brackets of what bytes (< 64 tokens) or operations allow\n\n${report(cells, variants)}\n`,
);
if (values.save) {
  await mkdir('bench/results', { recursive: true });
  await writeFile(`bench/results/${values.save}`, JSON.stringify(result, null, 1) + '\n');
}
