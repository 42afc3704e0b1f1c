/** Finds and loads the onnxruntime-node that the application itself uses. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from './errors.js';

export type OnnxRuntimeModule = typeof ort;

export interface OnnxRuntimePackage {
  readonly path: string;
  readonly version: string;
  /** From where it was resolved. */
  readonly from: string;
}

const OLDEST = 20; // 1.20

/**
 * Where to resolve from: the program's main script, the current directory, this package. The first one is the application's
 * own view. It matters: Linux maps only one libonnxruntime.so.1 for all copies of onnxruntime-node in a process, and a
 * copy of another version then fails to load.
 */
function bases(): string[] {
  const main = process.argv[1];
  return [...(main && existsSync(main) ? [main] : []), join(process.cwd(), 'index.js'), import.meta.url];
}

/** @throws BlockrankError ORT_NOT_FOUND with the places tried, ORT_UNSUPPORTED for a version that cannot be hooked. */
export function findOnnxRuntime(): OnnxRuntimePackage {
  for (const from of bases()) {
    const entry = tryResolve(from);
    if (!entry) continue;
    const { path, version } = readPackage(entry);
    assertSupported(path, version);
    return { path, version, from };
  }
  throw new BlockrankError(
    'ORT_NOT_FOUND',
    'onnxruntime-node was not found. Tried to resolve it from:\n' +
      bases()
        .map((base) => `  ${base}`)
        .join('\n') +
      '\nInstall it beside blockrank: npm install onnxruntime-node',
  );
}

/** @throws BlockrankError as findOnnxRuntime, and ORT_UNSUPPORTED where it was found but does not load. */
export function loadOnnxRuntime(): OnnxRuntimeModule {
  const found = findOnnxRuntime();
  try {
    return createRequire(join(found.path, 'package.json'))(found.path) as OnnxRuntimeModule;
  } catch (cause) {
    const reason = (cause as Error).message;
    const fix = /version `VERS_[\d.]+' not found/.test(reason)
      ? 'Another version of ONNX Runtime is already loaded in this process, and Linux cannot load both: `npm ls onnxruntime-node` shows the copies, `npm dedupe` may merge them.'
      : 'Reinstall it, and check that it supports this platform.';
    throw new BlockrankError(
      'ORT_UNSUPPORTED',
      `onnxruntime-node ${found.version} was found in ${found.path} but does not load: ${reason}. ${fix}`,
      { cause },
    );
  }
}

function tryResolve(from: string): string | null {
  try {
    return createRequire(from).resolve('onnxruntime-node');
  } catch {
    return null;
  }
}

function readPackage(entry: string): { path: string; version: string } {
  for (let path = dirname(entry); path !== dirname(path); path = dirname(path)) {
    const manifest = join(path, 'package.json');
    if (!existsSync(manifest)) continue;
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version?: string };
    if (version) return { path, version };
  }
  return { path: dirname(entry), version: 'unknown' };
}

function assertSupported(path: string, version: string): void {
  const [major, minor] = version.split('.').map(Number);
  if (major === 1 && minor >= OLDEST) return;
  throw new BlockrankError(
    'ORT_UNSUPPORTED',
    `Expected onnxruntime-node 1.${OLDEST} or newer (1.x), found ${version} in ${path}. Install a supported one: npm install onnxruntime-node@1`,
  );
}
