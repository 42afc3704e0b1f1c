/**
 * Time, memory and error of factorizing layers of real shapes: node dist/bench/factorize.js [--json] [--only 'gpt2s c_fc']
 *
 * Weights are random with the singular values k^−0.5 and, block by block, lognormal scales. Columns: seconds; processor
 * seconds of all threads, which other work on the machine does not stretch; those as a multiple of one float64 product
 * W·Wᵀ; megabytes of the inputs and of the process beyond them at its peak (each case has a process of its own); error in
 * the metric; error as a share of that of low rank with as many numbers.
 */
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { factorize, largestRank } from '../graph-rewriter/factorize/index.js';
import { stack, type Engine } from '../graph-rewriter/factorize/engine.js';
import { engineFor } from '../src/device.js';
import { randomNormal } from '../graph-rewriter/factorize/linalg/random.js';
import type { DenseWeight, Structure, StructureSpec } from '../graph-rewriter/factorize/types.js';

interface Case {
  readonly name: string;
  readonly structure: Structure;
  readonly out: number;
  readonly in: number;
  readonly blocks: number;
  /** Share of the weight's numbers that the factors keep. */
  readonly keep: number;
  readonly weighted?: boolean;
  /** How many weights of the kind are factorized one after another; 1 when absent. */
  readonly times?: number;
}

const CASES: readonly Case[] = [
  { name: 'gpt2s c_attn ×12', structure: 'monarch', out: 2304, in: 768, blocks: 4, keep: 0.5, times: 12 },
  { name: 'gpt2s c_fc ×12', structure: 'monarch', out: 3072, in: 768, blocks: 4, keep: 0.5, times: 12 },
  { name: 'gpt2s c_proj ×12', structure: 'monarch', out: 768, in: 3072, blocks: 4, keep: 0.5, times: 12 },
  { name: 'gpt2s c_fc', structure: 'low-rank', out: 3072, in: 768, blocks: 1, keep: 0.5 },
  { name: 'gpt2s c_fc', structure: 'blast', out: 3072, in: 768, blocks: 4, keep: 0.32 },
  { name: 'gpt2s c_fc', structure: 'blast', out: 3072, in: 768, blocks: 4, keep: 0.32, weighted: true },
  { name: 'gpt2s c_proj', structure: 'blast', out: 768, in: 3072, blocks: 4, keep: 0.32, weighted: true },
  { name: 'minilm qkvo', structure: 'blast', out: 384, in: 384, blocks: 4, keep: 0.8, weighted: true },
  { name: 'minilm qkvo', structure: 'blast', out: 384, in: 384, blocks: 16, keep: 0.8, weighted: true },
  { name: 'smollm2 down', structure: 'blast', out: 576, in: 1536, blocks: 4, keep: 0.5, weighted: true },
  { name: 'ppocr head', structure: 'blast', out: 6625, in: 120, blocks: 4, keep: 0.5 },
  { name: 'ppocr head', structure: 'monarch', out: 6625, in: 120, blocks: 4, keep: 0.5 },
  { name: 'llama1b q', structure: 'low-rank', out: 2048, in: 2048, blocks: 1, keep: 0.5 },
  { name: 'llama1b q', structure: 'monarch', out: 2048, in: 2048, blocks: 4, keep: 0.5 },
];

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean' },
    only: { type: 'string' },
    case: { type: 'string' },
  },
});
if (options.case) print(JSON.stringify(await measure(CASES[Number(options.case)])));
else report();

function report(): void {
  const results = CASES.flatMap((entry, index) => {
    if (!`${entry.name} ${entry.structure}`.includes(options.only ?? '')) return [];
    const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), '--case', String(index)]);
    if (child.status !== 0) throw new Error(child.stderr.toString());
    const result = JSON.parse(child.stdout.toString()) as Awaited<ReturnType<typeof measure>>;
    if (!options.json) print(row(result));
    return [result];
  });
  if (options.json)
    print(JSON.stringify({ cpu: cpus()[0].model, cores: cpus().length, results }, undefined, 1));
}

async function measure(entry: Case) {
  const engine = engineFor({});
  const weight = await randomWeight(engine, entry);
  const metric = entry.weighted ? { covariance: covarianceOf(entry.in) } : {};
  const reference = await productTime(engine, weight);
  const bytes = weight.data.byteLength + (metric.covariance?.byteLength ?? 0);
  const blocks = { blocksIn: entry.blocks, blocksOut: entry.blocks };
  const spec = atShare(weight, { structure: entry.structure, ...blocks }, entry.keep);
  const before = process.memoryUsage().rss;
  const started = performance.now();
  const idle = process.cpuUsage();
  let result = await factorize({ weight, spec, ...metric, engine });
  for (let n = 1; n < (entry.times ?? 1); n++) result = await factorize({ weight, spec, ...metric, engine });
  const seconds = (performance.now() - started) / 1000;
  const processor = processorSeconds(idle);
  const peak = process.resourceUsage().maxRSS * 1024;
  const lowRank = await factorize({
    weight,
    ...metric,
    engine,
    spec: atShare(weight, { structure: 'low-rank', blocksIn: 1, blocksOut: 1 }, entry.keep),
  });
  return {
    ...entry,
    rank: spec.rank,
    seconds,
    processor,
    products: processor / (entry.times ?? 1) / reference,
    inputMegabytes: bytes / 2 ** 20,
    peakMegabytes: (peak - before) / 2 ** 20,
    error: result.weightedError,
    ofLowRank: result.weightedError / lowRank.weightedError,
  };
}

function atShare(weight: DenseWeight, spec: Omit<StructureSpec, 'rank'>, keep: number): StructureSpec {
  return { ...spec, rank: Math.max(1, Math.floor(keep * (largestRank(weight, spec) + 1))) };
}

async function productTime(engine: Engine, { out, in: width, data }: DenseWeight): Promise<number> {
  const w = stack(Float64Array.from(data), 1, out, width);
  const times: number[] = [];
  for (let n = 0; n < 3; n++) {
    const idle = process.cpuUsage();
    await engine.multiply(w, w, out <= width ? 'right' : 'left');
    times.push(processorSeconds(idle));
  }
  return Math.min(...times);
}

function processorSeconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

async function randomWeight(engine: Engine, { out, in: width }: Case): Promise<DenseWeight> {
  const random = randomNormal(1);
  const size = Math.min(out, width);
  const left = Float64Array.from({ length: out * size }, (_, at) => random() * ((at % size) + 1) ** -0.5);
  const right = Float64Array.from({ length: size * width }, random);
  const { data } = await engine.multiply(stack(left, 1, out, size), stack(right, 1, size, width));
  const scales = Float64Array.from({ length: 16 }, () => Math.exp(0.5 * random()));
  const block = (index: number, count: number) => Math.floor((4 * index) / count);
  for (let at = 0; at < data.length; at++)
    data[at] *= scales[4 * block(Math.floor(at / width), out) + block(at % width, width)];
  return { out, in: width, data: Float32Array.from(data) };
}

/** Of features with a common part of the same energy as their own, and sizes that spread over a decade. */
function covarianceOf(size: number): Float32Array {
  const scale = (c: number) => 10 ** ((c % 10) / 10);
  return Float32Array.from({ length: size * size }, (_, at) => {
    const [a, c] = [Math.floor(at / size), at % size];
    return scale(a) * scale(c) * (a === c ? 2 : 1);
  });
}

function row(result: Awaited<ReturnType<typeof measure>>): string {
  const { name, structure, blocks, weighted, out, in: width, rank } = result;
  const cells = [
    `${name}${weighted ? ', C' : ''}`,
    `${structure}${structure === 'low-rank' ? '' : ` b=${blocks}`}, r=${rank}`,
    `${out}×${width}`,
    result.seconds.toFixed(2),
    result.processor.toFixed(2),
    result.products.toFixed(0),
    `${result.inputMegabytes.toFixed(1)} / ${result.peakMegabytes.toFixed(0)}`,
    result.error.toFixed(4),
    result.ofLowRank.toFixed(3),
  ];
  return `| ${cells.join(' | ')} |`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
