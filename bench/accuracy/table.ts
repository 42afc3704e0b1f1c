/**
 * The table of docs/accuracy.md: models × recipes × bytes kept, each judged in its own figures.
 *
 *   node dist/bench/accuracy/table.js --kit models --data data --out results \
 *     [--models minilm,vit,whisper,ppocr] [--recipes svd,published,whitened,forward,ours] [--keeps 0.8,0.5] \
 *     [--jobs 1] [--threads 2] [--limit 540]
 *
 * One process a cell, `jobs` at a time on `threads` cores each; a cell that is done has its JSON in `out` and is skipped, and cells that
 * are not done after `limit` seconds are stopped: run it again to go on. table.md is written from all that are done.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { rewrite } from '../../src/rewrite.js';
import { RECIPES } from './recipes.js';
import { minilm } from './subjects/minilm.js';
import { ppocr } from './subjects/ppocr.js';
import type { Subject } from './subjects/subject.js';
import { vit } from './subjects/vit.js';
import { whisper } from './subjects/whisper.js';

const SUBJECTS: Readonly<Record<string, Subject>> = { minilm, vit, whisper, ppocr };

interface Cell {
  readonly model: string;
  readonly recipe: string;
  readonly keep: number;
}

interface Result extends Cell {
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly seconds: number;
  readonly date: string;
  readonly figures: Record<string, number>;
}

const { values } = parseArgs({
  options: {
    kit: { type: 'string' },
    data: { type: 'string' },
    out: { type: 'string' },
    models: { type: 'string', default: Object.keys(SUBJECTS).join() },
    recipes: { type: 'string', default: Object.keys(RECIPES).join() },
    keeps: { type: 'string', default: '0.8,0.5' },
    jobs: { type: 'string', default: '1' },
    threads: { type: 'string', default: '2' },
    limit: { type: 'string', default: '540' },
    cell: { type: 'string' },
  },
});
const needed = (name: 'kit' | 'data' | 'out'): string => {
  const value = values[name];
  if (value === undefined) throw new Error(`--${name} is needed`);
  return value;
};
const kit = needed('kit');
const data = needed('data');
const out = needed('out');
if (values.cell === undefined) await runAll(out);
else await runCell(JSON.parse(values.cell) as Cell, kit, data, out);

async function runAll(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const list = (text: string) => text.split(',').filter(Boolean);
  const cells = list(values.models ?? '').flatMap((model) =>
    list(values.keeps ?? '').flatMap((keep) =>
      list(values.recipes ?? '').map((recipe): Cell => ({ model, recipe, keep: Number(keep) })),
    ),
  );
  for (const { model, recipe } of cells)
    if (!(model in SUBJECTS && recipe in RECIPES))
      throw new Error(`no model ${model}, or no recipe ${recipe}`);
  const left = cells.filter((cell) => !existsSync(resultPath(folder, cell)));
  const running = new Set<ChildProcess>();
  const end = setTimeout(
    () => {
      left.length = 0;
      for (const child of running) child.kill();
    },
    1000 * Number(values.limit),
  );
  const workers = Array.from({ length: Number(values.jobs) }, async (_, worker) => {
    for (let cell = left.shift(); cell !== undefined; cell = left.shift())
      await runChild(cell, worker, running);
  });
  await Promise.all(workers);
  clearTimeout(end);
  const results = await readResults(folder);
  await writeFile(join(folder, 'table.md'), markdown(results));
  process.stdout.write(
    `${cells.filter((cell) => existsSync(resultPath(folder, cell))).length} of ${cells.length} cells are done\n`,
  );
}

/** On cores of its own: ONNX Runtime has as many threads as the process has cores. */
function runChild(cell: Cell, worker: number, running: Set<ChildProcess>): Promise<void> {
  const threads = Number(values.threads);
  const cores = `${worker * threads}-${(worker + 1) * threads - 1}`;
  const script = fileURLToPath(import.meta.url);
  const given = ['--kit', kit, '--data', data, '--out', out, '--cell', JSON.stringify(cell)];
  const child = spawn('taskset', ['-c', cores, process.execPath, script, ...given], { stdio: 'inherit' });
  running.add(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('exit', () => {
      running.delete(child);
      resolve();
    });
  });
}

async function runCell(cell: Cell, kitFolder: string, dataFolder: string, folder: string): Promise<void> {
  const subject = SUBJECTS[cell.model];
  const { options, isCalibrated } = RECIPES[cell.recipe];
  const original = join(kitFolder, subject.model);
  const target = join(tmpdir(), `blockrank-table-${process.pid}.onnx`);
  const start = performance.now();
  try {
    const report = await rewrite(original, target, {
      ...options,
      keep: cell.keep,
      keepDenseIfSlower: false,
      exclude: subject.exclude,
      cache: join(folder, 'statistics'),
      ...(subject.blocks !== undefined && options.structure === 'blast' && { blocks: subject.blocks }),
      ...(isCalibrated && { calibration: await subject.calibration(dataFolder) }),
    });
    const seconds = Math.round((performance.now() - start) / 1000);
    const figures = await subject.judge(original, target, dataFolder);
    const { bytesBefore, bytesAfter } = report;
    const date = new Date().toISOString().slice(0, 10);
    const result: Result = { ...cell, bytesBefore, bytesAfter, seconds, date, figures };
    await writeFile(`${resultPath(folder, cell)}.part`, JSON.stringify(result, null, 1));
    await rename(`${resultPath(folder, cell)}.part`, resultPath(folder, cell));
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } finally {
    await rm(target, { force: true });
  }
}

function resultPath(folder: string, { model, recipe, keep }: Cell): string {
  return join(folder, `${model}-${recipe}-${keep}.json`);
}

async function readResults(folder: string): Promise<Result[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8')) as Result),
  );
}

function markdown(results: readonly Result[]): string {
  return Object.entries(SUBJECTS)
    .map(([name, { figures }]) => {
      const titles = Object.keys(figures);
      const rows = Object.entries(RECIPES).flatMap(([recipe, { title }]) =>
        results
          .filter((result) => result.model === name && result.recipe === recipe)
          .sort((a, b) => b.keep - a.keep)
          .map((result) => {
            const numbers = titles.map((figure) => result.figures[figure].toFixed(4));
            return `| ${[title, `${100 * result.keep} %`, ...numbers, `${result.seconds} s`].join(' | ')} |\n`;
          }),
      );
      const head = ['recipe', 'kept', ...titles, 'time'];
      return `## ${name}\n\n| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}\n${rows.join('')}`;
    })
    .join('\n');
}
