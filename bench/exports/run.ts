// npm run bench:exports -- FOLDER [--only PART]… [--rank 8] [--include PATTERN]…: rewrites each FOLDER/*/*.onnx, validates it, prints a table.
//
// Each file is looked at in a process of its own, in two ways. `exact`: every weight W that can be replaced becomes the factors
// I · W, which stand for the same numbers, so that the outputs must be the original's but for rounding: what was done to the
// graph was right. `fitted`: low-rank factors, as users make them; there the kernels must agree with the portable functions.
// Inputs are random. Most samples must agree: of the only one, or of eight where weights are int8, since a network that rounds
// activations to 8 bits makes a step of 1/127 of a float's last bit. The exit code is 1 where anything fails.
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import type { Looked } from './one.js';

/** What rounding may leave between the layers of a deep network, as a share of the largest output. */
const TOLERANCE: Readonly<Record<string, number>> = { float32: 1e-3, float16: 2e-2 };
const run = promisify(execFile);
const ONE = fileURLToPath(new URL('./one.js', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true },
    include: { type: 'string', multiple: true },
    rank: { type: 'string' },
  },
});
const { only = [], include = [], rank = '8' } = values;

async function modelsIn(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  const isModel = (name: string) => name.endsWith('.onnx') && name.split('/').length === 2;
  const isWanted = (name: string) => only.length === 0 || only.some((part) => name.includes(part));
  return names.filter((name) => isModel(name) && isWanted(name)).sort();
}

async function look(path: string): Promise<Looked | string> {
  try {
    const { stdout } = await run(process.execPath, [ONE, path, rank, ...include]);
    return JSON.parse(stdout) as Looked;
  } catch (error) {
    return (error as { stderr?: string }).stderr?.trim().split('\n').at(-1) ?? String(error);
  }
}

function verdict({ types, exact, fitted, notRun }: Looked): string {
  if (notRun !== undefined || exact === undefined || fitted === undefined) return 'not run';
  const tolerance = Math.max(...types.map((type) => TOLERANCE[type] ?? 0), TOLERANCE['float32']);
  const agrees = (samples: readonly number[]) =>
    samples.filter((difference) => difference <= tolerance).length > samples.length / 2;
  return [exact.plugin, exact.functions, fitted].every(agrees) ? 'yes' : 'NO';
}

function row(name: string, looked: Looked): string {
  const { producer, types, bytesBefore, bytesAfter, rewritten, kept, seconds, peak, exact, fitted } = looked;
  const reasons = Object.entries(kept).map(([code, count]) => `${count} \`${code}\``);
  return [
    name.replace(/\.onnx$/, ''),
    `${producer}, ${types.join(', ') || 'none'}`,
    `${mebibytes(bytesBefore)} → ${mebibytes(bytesAfter)}`,
    String(rewritten),
    reasons.join(', '),
    `${seconds.toFixed(0)} s, ${peak.toFixed(0)} MiB`,
    share(exact?.plugin),
    share(exact?.functions),
    share(fitted),
    verdict(looked),
  ].join(' | ');
}

/** The largest difference; of several samples their median besides. */
function share(samples: readonly number[] | undefined): string {
  if (samples === undefined) return '–';
  const sorted = [...samples].sort((a, b) => a - b).map((value) => value.toExponential(0));
  const most = sorted[sorted.length - 1];
  return sorted.length === 1 ? most : `median ${sorted[Math.floor(sorted.length / 2)]}, largest ${most}`;
}

const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
const print = (line: string) => process.stdout.write(`| ${line} |\n`);

const [root] = positionals;
if (root === undefined) throw new Error('usage: npm run bench:exports -- FOLDER');
print(
  'model | exporter, weights | MiB | rewritten | kept | rewrite | exact, plugin | exact, without | fitted, one from the other | valid',
);
print(Array<string>(10).fill('---').join(' | '));
for (const name of await modelsIn(root)) {
  const looked = await look(join(root, name));
  if (typeof looked !== 'string') print(row(name, looked));
  else print(`${name} | | | | | | | | | NO: ${looked}`);
  if (typeof looked === 'string' || verdict(looked) === 'NO') process.exitCode = 1;
}
