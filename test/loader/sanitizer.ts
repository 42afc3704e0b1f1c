/** Builds of the native files under sanitizers (`npm run test:sanitize` makes them), and what those say of our code. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './helpers.js';

export type Sanitizer = 'address' | 'thread';

/** address comes with undefined behaviour. */
const RUNTIME: Record<Sanitizer, string> = { address: 'libasan.so', thread: 'libtsan.so' };

const folderOf = (kind: Sanitizer) => join(ROOT, 'build', `sanitize-${kind}`, 'RelWithDebInfo');

/** The files that are instrumented, with the folders of their sources. */
const FILES: Record<string, readonly string[]> = {
  'blockrank.node': ['src/native'],
  'libblockrank.so': ['custom-ops', 'custom-ops/core', 'custom-ops/cpu', 'custom-ops/ops'],
};

/** Why nothing can run under it here; undefined where it can. */
export function whyNotSanitized(kind: Sanitizer): string | undefined {
  for (const [name, folders] of Object.entries(FILES)) {
    const file = join(folderOf(kind), name);
    if (!existsSync(file)) return `there is no build/sanitize-${kind}: npm run test:sanitize`;
    if (newestSource(folders) > statSync(file).mtimeMs)
      return `build/sanitize-${kind} is older than its sources: npm run test:sanitize`;
  }
  return undefined;
}

function newestSource(folders: readonly string[]): number {
  const files = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder)).map((name) => join(ROOT, folder, name)),
  );
  return Math.max(...files.filter((file) => /\.(cc|h)$/.test(file)).map((file) => statSync(file).mtimeMs));
}

/**
 * The environment for a process under the sanitizer, and what is read from its log afterwards.
 * Node and ONNX Runtime are not instrumented: V8 and libuv race and leak by design as the sanitizers see it. A suppression
 * file cannot tell theirs from ours, because it matches any frame of a stack, and ours are all called by theirs. So nothing is
 * suppressed, an error of address or behaviour ends the process, and of leaks and races those count that name our code.
 */
export function underSanitizer(kind: Sanitizer) {
  const folder = mkdtempSync(join(tmpdir(), 'blockrank-sanitizer-'));
  const log = `log_path=${join(folder, 'log')}`;
  const compiler = process.env['CXX'] ?? 'c++';
  const env = {
    LD_PRELOAD: execFileSync(compiler, [`-print-file-name=${RUNTIME[kind]}`], { encoding: 'utf8' }).trim(),
    BLOCKRANK_NATIVE: folderOf(kind),
    ASAN_OPTIONS: `detect_leaks=1:${log}`,
    LSAN_OPTIONS: 'exitcode=0',
    UBSAN_OPTIONS: `print_stacktrace=1:${log}`,
    TSAN_OPTIONS: `exitcode=0:${log}`,
  };
  const reports = () => {
    const text = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
    rmSync(folder, { recursive: true });
    return text.flatMap(ourReports);
  };
  return { env, reports };
}

/** Frames of libblockrank.so and blockrank.node; the folder that all of it lies in may be called blockrank too. */
const OURS = /\bblockrank::|libblockrank\.so|\bblockrank\.node|(custom-ops|src\/native)\/\S+\.(cc|h):\d/;

/** Paragraphs of a sanitizer's log that name our code. */
export function ourReports(log: string): string[] {
  return log.split(/\n\s*\n|^=+$/m).filter((paragraph) => OURS.test(paragraph));
}
