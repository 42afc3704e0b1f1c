// node dist/bench/cpu/tables.js FILE… [--write docs/performance.md]: what bench:cpu saved, as tables; in the page between its two
// marks. Cells of later files replace those of earlier ones.
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Cell } from './cells.js';
import { GOALS, OURS, scaling, speed } from './goals.js';
import type { Variant } from './models.js';
import type { Result } from './result.js';

const COLUMNS: readonly Variant[] = [...OURS, 'blast-plain', 'low-rank', 'int8', 'int4'];

const percent = (value: number) => `${Math.round(100 * value)} %`;
const times = (value: number) => (Number.isFinite(value) ? value.toFixed(2) : '–');

function geometricMean(values: readonly number[]): number {
  const finite = values.filter(Number.isFinite);
  return Math.exp(finite.reduce((sum, value) => sum + Math.log(value), 0) / finite.length);
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [titles, titles.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function means(cells: readonly Cell[]): string {
  const counts = [...new Set(cells.map(({ tokens }) => tokens))].sort((a, b) => a - b);
  return table(
    ['tokens', ...COLUMNS],
    counts.map((tokens) => {
      const own = cells.filter((cell) => cell.tokens === tokens);
      return [
        String(tokens),
        ...COLUMNS.map((variant) => times(geometricMean(own.map((cell) => speed(cell, variant, 'dense'))))),
      ];
    }),
  );
}

interface Miss {
  readonly goal: string;
  readonly cell: Cell;
  readonly part: number;
}

function goals(cells: readonly Cell[]): { text: string; misses: Miss[] } {
  const misses: Miss[] = [];
  const rows = GOALS.map(({ name, judge }) => {
    const parts: number[] = [];
    for (const cell of cells) {
      const found = judge(cell);
      if (found === undefined || !Number.isFinite(found.value)) continue;
      const part = found.value / found.least;
      parts.push(part);
      if (part < 1) misses.push({ goal: name, cell, part });
    }
    const met = parts.filter((part) => part >= 1).length;
    return parts.length === 0
      ? [name, '–', '–', '–']
      : [name, `${met} of ${parts.length}`, times(geometricMean(parts)), times(Math.min(...parts))];
  });
  return { text: table(['goal', 'cells that meet it', 'reached / asked, mean', 'least'], rows), misses };
}

function missed(misses: readonly Miss[]): string {
  const names = [...new Set(misses.map(({ goal }) => goal))];
  return names
    .map((name) => {
      const own = misses.filter(({ goal }) => goal === name);
      const list = own.map(({ cell, part }) => `${cell.layer} ${cell.tokens} (${times(part)})`);
      return `- **${name}**: ${list.join(', ')}`;
    })
    .join('\n');
}

function allCells(cells: readonly Cell[]): string {
  return table(
    ['layer', 'tokens', 'dense ms', 'operations', ...COLUMNS],
    cells.map((cell) => {
      const { layer, tokens, milliseconds, flopRatio, byteRatios } = cell;
      const part = (variant: Variant) =>
        speed(cell, variant, 'dense') / (tokens >= 64 ? flopRatio : byteRatios[variant]!);
      return [
        layer,
        String(tokens),
        milliseconds.dense!.toFixed(3),
        times(flopRatio),
        ...COLUMNS.map((variant) => {
          const ratio = times(speed(cell, variant, 'dense'));
          return variant === 'blast' ? `${ratio} (${percent(part(variant))})` : ratio;
        }),
      ];
    }),
  );
}

function threads(cells: readonly Cell[]): string {
  const own = cells.filter(({ oneThread }) => oneThread !== undefined);
  const variants = ['dense', 'blast', 'blast-compute-bf16', 'blast-compute-int8'] as const;
  return table(
    ['layer', 'tokens', ...variants],
    own.map((cell) => [
      cell.layer,
      String(cell.tokens),
      ...variants.map((variant) => times(scaling(cell, variant))),
    ]),
  );
}

function otherParts({ micro, memory, siblings, phases }: Result): string[] {
  const texts: string[] = [];
  if (micro !== undefined)
    texts.push(
      '### Micro-kernels\n\nMultiply-adds a nanosecond, one thread.',
      table(
        ['products', 'instruction set', 'peak', 'sums of 128', 'sums of 256'],
        micro.map((m) => [
          m.type,
          m.isa,
          m.peak.toFixed(1),
          ...[m.depth128, m.depth256].map((rate) => `${rate.toFixed(1)} (${percent(rate / m.peak)})`),
        ]),
      ),
    );
  if (memory !== undefined)
    texts.push(
      `### Resident memory of sessions\n\n24 layers as ${memory[0].layer}.`,
      table(
        ['form', 'file, MiB', 'resident, MiB', 'of dense', 'kept share of bytes', 'within + 10 %'],
        memory.map((m) => [
          m.variant,
          m.fileMiB.toFixed(0),
          m.residentMiB.toFixed(0),
          percent(m.ratio),
          percent(m.keptShare),
          m.ratio <= 1.1 * m.keptShare ? 'yes' : 'no',
        ]),
      ),
    );
  if (siblings !== undefined)
    texts.push(
      '### Siblings',
      table(
        ['group', 'compute', 'tokens', 'three operators, ms', 'one, ms', 'gain'],
        siblings.map((s) => [
          s.name,
          s.compute,
          String(s.tokens),
          s.apart.toFixed(3),
          s.together.toFixed(3),
          `${times(s.apart / s.together)}×`,
        ]),
      ),
    );
  if (phases !== undefined) {
    const peak = (compute: string) =>
      Math.max(
        ...(micro ?? [])
          .filter(({ type }) => type === (compute === 'float' ? 'float32' : compute))
          .map((m) => m.peak),
      );
    texts.push(
      '### Where the cycles go\n\nOne thread, native; `of the peak` counts all of the layer’s multiply-adds; transposing is part of the products.',
      table(
        [
          'layer',
          'tokens',
          'compute',
          'of the peak',
          'products',
          'transposing',
          'coupling',
          'store',
          'X and z',
        ],
        phases.map((p) => [
          p.layer,
          String(p.tokens),
          p.compute,
          percent(p.rate / peak(p.compute)),
          ...[p.products, p.transpose, p.coupling, p.store, p.widen].map((time) => percent(time / p.total)),
        ]),
      ),
    );
  }
  return texts;
}

function origin({ date, command, machine }: Result): string {
  const cpu = machine.cpu as { readonly model?: string } | undefined;
  const { version } = machine.node as { readonly version: string };
  return `\`${command}\`: ${cpu?.model ?? 'unknown processor'}, ${machine.threads} threads, Node ${version}, onnxruntime-node ${machine.onnxruntime ?? 'unknown'}, ${date}.`;
}

/** Replaces what is between the marks. */
async function writeInto(path: string, text: string): Promise<void> {
  const page = await readFile(path, 'utf8');
  const [before, rest] = page.split('<!-- bench:cpu -->');
  const after = rest?.split('<!-- /bench:cpu -->')[1];
  if (after === undefined)
    throw new Error(`${path}: expected the marks <!-- bench:cpu --> and <!-- /bench:cpu -->`);
  await writeFile(path, `${before}<!-- bench:cpu -->\n\n${text}\n<!-- /bench:cpu -->${after}`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { write: { type: 'string' } },
});
const results = await Promise.all(
  positionals.map(async (path) => JSON.parse(await readFile(path, 'utf8')) as Result),
);
if (results.length === 0) throw new Error('expected the files that bench:cpu saved');
const merged = results.reduce((all, one) => ({ ...all, ...one }));
const byCell = new Map(
  results.flatMap(({ cells }) => cells.map((cell) => [`${cell.layer} ${cell.tokens}`, cell])),
);
const cells = [...byCell.values()];
const judged = goals(cells);
const texts = [
  '## Tables',
  ...results.map(origin),
  '### Goals',
  judged.text,
  '### Speed over dense float32, geometric means of the layers',
  means(cells),
  '### Cells that miss a goal (reached / asked)',
  missed(judged.misses),
  '### 2 threads over 1',
  threads(cells),
  ...otherParts(merged),
  '### All cells: speed over dense float32; of BLAST in float32 how much of what bytes (below 64 tokens) or operations allow',
  allCells(cells),
];
const text = `${texts.join('\n\n')}\n`;
if (values.write === undefined) process.stdout.write(text);
else await writeInto(values.write, text);
