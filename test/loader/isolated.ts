/** A project folder that has blockrank but not the real onnxruntime-node. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DIST, fixture, PRELUDE, ROOT, temporaryFolder } from './helpers.js';

export interface IsolatedBlockrank {
  readonly folder: string;
  /** Registers a library and prints code and message of what is thrown. */
  readonly script: string;
  remove(): void;
}

/** `onnxruntime` is what the project has under that name: nothing where it is left out. */
export function isolatedBlockrank(onnxruntime?: { version: string; main: string }): IsolatedBlockrank {
  const folder = temporaryFolder();
  const blockrank = join(folder, 'node_modules', 'blockrank');
  for (const part of [
    'dist/src/loader',
    'dist/graph-rewriter/errors.js',
    'dist/graph-rewriter/onnxruntime.js',
    'build/Release/blockrank.node',
    'package.json',
  ]) {
    cpSync(join(part.startsWith('dist') ? join(DIST, '..') : ROOT, part), join(blockrank, part), {
      recursive: true,
    });
  }
  if (onnxruntime) {
    const target = join(folder, 'node_modules', 'onnxruntime-node');
    mkdirSync(target);
    const { version, main } = onnxruntime;
    writeFileSync(
      join(target, 'package.json'),
      JSON.stringify({ name: 'onnxruntime-node', version, main: 'main.js' }),
    );
    writeFileSync(join(target, 'main.js'), main);
  }
  const entry = join(blockrank, 'dist', 'src', 'loader', 'register.js');
  const script = `${PRELUDE}
    const { register } = await import(${JSON.stringify(entry)});
    try {
      register({ library: ${JSON.stringify(fixture('double'))} });
    } catch ({ code, message }) {
      console.log(JSON.stringify({ code, message }));
    }`;
  return { folder, script, remove: () => rmSync(folder, { recursive: true }) };
}
