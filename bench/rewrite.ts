// npm run bench:rewrite [-- --save FILE]: time and peak memory of inspect and rewrite against the size of the model, beside cp.
//
// The models keep their weights in a data file, and the rewrite replaces one small layer: what it does is copy. Each measurement is a
// process of its own; inspect, cp and rewrite take turns; times are medians without the start of Node. Sources are in the page
// cache, and what cp and rewrite wrote is on the disk when their time ends.
import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import onnxProto, { type onnx } from 'onnx-proto';
import { formatTable } from '../src/cli/table.js';

const MIB = 2 ** 20;
const SIZES = [256, 512, 1024, 2048];
const ROUNDS = 3;
/** Square float32 weights of 16 MiB. */
const WIDTH = 2048;
const WEIGHT = 4 * WIDTH * WIDTH;
const SMALL = 64;
const INDEX = new URL('../src/index.js', import.meta.url).href;
const run = promisify(execFile);

interface Measured {
  readonly seconds: number;
  /** VmHWM of the process, MiB. */
  readonly peak: number;
}

interface Row {
  readonly mebibytes: number;
  readonly inspect: Measured;
  readonly rewrite: Measured;
  readonly cp: number;
}

/** One small layer, and a chain of large ones; every weight in model.data. */
function writeModel(folder: string, mebibytes: number): string {
  const count = (mebibytes * MIB) / WEIGHT;
  const weights = [SMALL, ...Array<number>(count).fill(WIDTH)];
  const file = openSync(join(folder, 'model.data'), 'w');
  const block = new Float32Array(WIDTH * WIDTH);
  let offset = 0;
  const initializer = weights.map((width, i): onnx.ITensorProto => {
    const bytes = randomWeight(block.subarray(0, width * width));
    writeSync(file, bytes, 0, bytes.length, offset);
    const place = { location: 'model.data', offset, length: bytes.length };
    offset += bytes.length;
    const externalData = Object.entries(place).map(([key, value]) => ({ key, value: String(value) }));
    return { name: `w${i}`, dims: [width, width], dataType: 1, externalData, dataLocation: 1 };
  });
  fsyncSync(file);
  closeSync(file);
  // Without the activations the chain would be one product, which the recogniser would look through.
  const node = weights.flatMap((width, i) => [
    {
      opType: 'MatMul',
      name: i === 0 ? 'small' : `large${i}`,
      input: [i < 2 ? `x${width}` : `v${i - 1}`, `w${i}`],
      output: [`m${i}`],
    },
    { opType: 'Relu', input: [`m${i}`], output: [`v${i}`] },
  ]);
  const value = (name: string, width: number) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'n' }, { dimValue: width }] } } },
  });
  const graph = {
    name: 'chain',
    node,
    initializer,
    input: [value(`x${SMALL}`, SMALL), value(`x${WIDTH}`, WIDTH)],
    output: [value('v0', SMALL), value(`v${count}`, WIDTH)],
  };
  const model = { irVersion: 8, opsetImport: [{ domain: '', version: 17 }], graph };
  const path = join(folder, 'model.onnx');
  writeFileSync(path, onnxProto.onnx.ModelProto.encode(model).finish());
  return path;
}

/** Numbers in [1, 2): random bits below the exponent. */
function randomWeight(numbers: Float32Array): Uint8Array {
  const bits = new Uint32Array(numbers.buffer, 0, numbers.length);
  randomFillSync(bits);
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] & 0x7fffff) | 0x3f800000;
  return new Uint8Array(numbers.buffer, 0, 4 * numbers.length);
}

/** Runs one call of the package in a process of its own. */
async function measure(call: string): Promise<Measured> {
  const code = `
    import { readFileSync } from 'node:fs';
    const { inspectModel, rewrite } = await import(${JSON.stringify(INDEX)});
    const start = performance.now();
    await ${call};
    const seconds = (performance.now() - start) / 1000;
    const peak = Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
    console.log(JSON.stringify({ seconds, peak }));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code]);
  return JSON.parse(stdout) as Measured;
}

async function copy(folder: string): Promise<number> {
  const target = join(folder, 'copy.data');
  const start = performance.now();
  await run('/bin/sh', ['-c', 'cp "$0" "$1" && sync "$1"', join(folder, 'model.data'), target]);
  const seconds = (performance.now() - start) / 1000;
  await rm(target);
  return seconds;
}

const OPTIONS = `{ structure: 'low-rank', rank: 8, minSize: 1, include: ['small'], keepDenseIfSlower: false }`;

async function rewriteOnce(folder: string, source: string): Promise<Measured> {
  const out = join(folder, 'out');
  await mkdir(out);
  const target = JSON.stringify(join(out, 'model.onnx'));
  const measured = await measure(`rewrite(${JSON.stringify(source)}, ${target}, ${OPTIONS})`);
  if ((await readdir(out)).length !== 2) throw new Error('expected a model and its data');
  await rm(out, { recursive: true });
  return measured;
}

async function measureSize(mebibytes: number): Promise<Row> {
  const folder = await mkdtemp(join(tmpdir(), 'blockrank-bench-'));
  try {
    const source = writeModel(folder, mebibytes);
    const inspects: Measured[] = [];
    const copies: number[] = [];
    const rewrites: Measured[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      inspects.push(await measure(`inspectModel(${JSON.stringify(source)})`));
      copies.push(await copy(folder));
      rewrites.push(await rewriteOnce(folder, source));
    }
    return { mebibytes, inspect: typical(inspects), rewrite: typical(rewrites), cp: median(copies) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The usual time and the highest peak. */
function typical(measured: readonly Measured[]): Measured {
  return {
    seconds: median(measured.map(({ seconds }) => seconds)),
    peak: Math.max(...measured.map(({ peak }) => peak)),
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** Of the bytes that the largest model has more than the smallest: without what every rewrite takes before it copies. */
function copySpeed(rows: readonly Row[]): string {
  const [first, last] = [rows[0], rows[rows.length - 1]];
  const speed = (seconds: (row: Row) => number) =>
    (last.mebibytes - first.mebibytes) / (seconds(last) - seconds(first));
  const [ours, theirs] = [speed((row) => row.rewrite.seconds), speed((row) => row.cp)];
  const share = ((100 * ours) / theirs).toFixed(0);
  return `From ${first.mebibytes} to ${last.mebibytes} MiB the rewrite copies ${ours.toFixed(0)} MiB/s and cp ${theirs.toFixed(0)} MiB/s: ${share} % of its speed.`;
}

const { values } = parseArgs({ options: { save: { type: 'string' } } });
const before = loadavg()[0];
const rows: Row[] = [];
for (const mebibytes of SIZES) rows.push(await measureSize(mebibytes));
const cells = rows.map(({ mebibytes, inspect, rewrite, cp }) => [
  String(mebibytes),
  inspect.seconds.toFixed(3),
  inspect.peak.toFixed(0),
  rewrite.seconds.toFixed(2),
  rewrite.peak.toFixed(0),
  cp.toFixed(2),
  `${((100 * cp) / rewrite.seconds).toFixed(0)} %`,
]);
const titles = ['MiB', 'inspect s', 'peak MiB', 'rewrite s', 'peak MiB', 'cp s', "of cp's speed"];
const columns = titles.map((title) => ({ title, align: 'right' as const }));
process.stdout.write(`${formatTable(columns, cells)}\n\n${copySpeed(rows)}\n`);
if (values.save !== undefined) {
  const result = {
    cpu: cpus()[0].model,
    cores: cpus().length,
    load: [before, loadavg()[0]],
    rounds: ROUNDS,
    rows,
  };
  await mkdir('bench/results', { recursive: true });
  await writeFile(`bench/results/${values.save}`, JSON.stringify(result, null, 1) + '\n');
}
