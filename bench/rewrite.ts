// npm run bench:rewrite [-- --save FILE]: time and peak memory of inspect and rewrite against the size of the model, beside cp.
//
// The models keep their weights in a data file, and the rewrite replaces one small layer: what it does is copy. Each measurement is a
// process of its own; inspect, cp and rewrite take turns; times are medians without the start of Node. Sources are in the page
// cache, and what cp and rewrite wrote is on the disk when their time ends.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { formatTable } from '../src/cli/table.js';
import { writeExternal, writeInline } from './rewrite-models.js';

const SIZES = [128, 256, 512, 1024];
/** MiB of the model whose weights are inside the file. */
const INLINE = 2500;
const ROUNDS = 5;
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
    const source = writeExternal(folder, mebibytes);
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

async function measureInline(): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), 'blockrank-bench-'));
  try {
    const path = join(folder, 'model.onnx');
    await writeInline(path, INLINE);
    const inspects: Measured[] = [];
    for (let round = 0; round < ROUNDS; round++)
      inspects.push(await measure(`inspectModel(${JSON.stringify(path)})`));
    return typical(inspects);
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
const inline = await measureInline();
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
process.stdout.write(
  `inspect of one file of ${INLINE} MiB: ${inline.seconds.toFixed(3)} s, ${inline.peak.toFixed(0)} MiB\n`,
);
if (values.save !== undefined) {
  const result = {
    cpu: cpus()[0].model,
    cores: cpus().length,
    load: [before, loadavg()[0]],
    rounds: ROUNDS,
    rows,
    inline: { mebibytes: INLINE, inspect: inline },
  };
  await mkdir('bench/results', { recursive: true });
  await writeFile(`bench/results/${values.save}`, JSON.stringify(result, null, 1) + '\n');
}
