/** Where blockrank's own native files are: ordered candidates, and one error that lists every attempt. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BlockrankError } from '../../graph-rewriter/errors.js';

/** Overrides where libblockrank.so is looked for. */
export const LIBRARY_VARIABLE = 'BLOCKRANK_LIBRARY';
/** Names the folder of blockrank.node and libblockrank.so where they do not lie in blockrank's own: a build of one's own, a bundle. */
export const FOLDER_VARIABLE = 'BLOCKRANK_NATIVE';

const SUPPORTED = ['linux-x64', 'linux-arm64'];
const PLATFORM = `${process.platform}-${process.arch}`;

/** The folder that holds blockrank's package.json. */
export function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && packageName(manifest) === 'blockrank') return folder;
    if (folder === dirname(folder)) throw new Error(`no package.json of blockrank above ${import.meta.url}`);
  }
}

function packageName(manifest: string): unknown {
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown }).name;
}

/** Prebuilt files come first: they are what npm installed; a build made on this machine has none beside it. */
function candidates(file: string): string[] {
  const named = process.env[FOLDER_VARIABLE];
  if (named) return [resolve(named, file)];
  const root = unpacked(packageRoot());
  return [join(root, 'prebuilds', PLATFORM, file), join(root, 'build', 'Release', file)];
}

/** Electron shows files inside app.asar to Node, but the dynamic loader needs the ones that lie beside the archive. */
function unpacked(folder: string): string {
  return folder.replace(/\.asar(?=[\\/])/, '.asar.unpacked');
}

/**
 * Gives the first candidate for `file` that exists and that `load` accepts.
 * @throws BlockrankError NATIVE_MISSING: every attempt with its cause, and the fix.
 */
export function findNativeFile<T>(file: string, load: (path: string) => T): T {
  if (!SUPPORTED.includes(PLATFORM)) throw unsupportedPlatform(file);
  const attempts: string[] = [];
  const causes: unknown[] = [];
  for (const path of candidates(file)) {
    if (!existsSync(path)) {
      attempts.push(`${path}: no such file`);
      continue;
    }
    try {
      return load(path);
    } catch (error) {
      attempts.push(`${path}: ${(error as Error).message}`);
      causes.push(error);
    }
  }
  throw new BlockrankError(
    'NATIVE_MISSING',
    `${file} could not be loaded on ${PLATFORM} with Node ${process.versions.node}. Tried:\n` +
      attempts.map((line) => `  ${line}`).join('\n') +
      '\nBuild it with `npm rebuild blockrank` (in a checkout of blockrank: `npm run build:native`), which needs a C++17 compiler. ' +
      'Rewriting and validating models work without it.',
    causes.length > 0 ? { cause: causes[0] } : undefined,
  );
}

function unsupportedPlatform(file: string): BlockrankError {
  return new BlockrankError(
    'NATIVE_MISSING',
    `${file} exists for ${SUPPORTED.join(' and ')} only; this is ${PLATFORM}. ` +
      'Rewritten models run here too, without the plugin: they carry plain ONNX functions for their operators.',
  );
}

/**
 * Absolute path of libblockrank.so: the one that BLOCKRANK_LIBRARY names where it is set, else the package's own.
 * @throws BlockrankError NATIVE_MISSING or, for BLOCKRANK_LIBRARY, LIBRARY_NOT_FOUND.
 */
export function locateLibrary(): string {
  const named = process.env[LIBRARY_VARIABLE];
  if (!named) return findNativeFile('libblockrank.so', (path) => path);
  if (existsSync(named)) return resolve(named);
  throw new BlockrankError(
    'LIBRARY_NOT_FOUND',
    `${LIBRARY_VARIABLE} names ${resolve(named)}, which does not exist. Correct or unset it.`,
  );
}
