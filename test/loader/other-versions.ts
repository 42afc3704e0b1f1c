/** Projects with another version of onnxruntime-node: BLOCKRANK_TEST_ORT lists them, .cache keeps them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './helpers.js';

export const versions = (process.env['BLOCKRANK_TEST_ORT'] ?? '').split(/[\s,]+/).filter(Boolean);

/** A folder whose onnxruntime-node is of that version, installed where it is not there yet (about 100 MB). */
export function project(version: string): string {
  const folder = join(ROOT, '.cache', `onnxruntime-node-${version}`);
  if (!existsSync(join(folder, 'node_modules'))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }');
    const args = ['install', '--silent', '--ignore-scripts', `onnxruntime-node@${version}`];
    execFileSync('npm', args, { cwd: folder, stdio: 'pipe' });
  }
  return folder;
}
