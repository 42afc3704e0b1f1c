// The native part of the benchmark: built on first use, one thread, no ONNX Runtime.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { BenchLayer } from '../layers.js';

const run = promisify(execFile);
const FOLDER = 'build/bench';

/** Multiply-adds a nanosecond: of registers alone, and of the register tile on L1 for sums of 128 and 256 terms. */
export interface Micro {
  readonly isa: string;
  readonly type: string;
  readonly peak: number;
  readonly depth128: number;
  readonly depth256: number;
}

/** Nanoseconds of one call on one thread and of its parts; `rate` is multiply-adds a nanosecond. */
export interface Phases {
  readonly layer: string;
  readonly tokens: number;
  readonly compute: string;
  readonly rate: number;
  readonly total: number;
  readonly products: number;
  readonly transpose: number;
  readonly coupling: number;
  readonly store: number;
  readonly widen: number;
}

async function program(...args: string[]): Promise<unknown> {
  const { stdout } = await run(`${FOLDER}/bench/cpu/native/blockrank_cpu_bench`, args);
  return JSON.parse(stdout);
}

export async function buildNative(): Promise<void> {
  await run('cmake', ['-S', '.', '-B', FOLDER, '-DBLOCKRANK_BENCH=ON', '-DCMAKE_BUILD_TYPE=Release']);
  await run('cmake', ['--build', FOLDER, '--target', 'blockrank_cpu_bench', '--parallel', '2']);
}

export async function measureMicros(): Promise<Micro[]> {
  return (await program('micro')) as Micro[];
}

export async function measurePhases(layer: BenchLayer, tokens: number): Promise<Phases[]> {
  const sizes = [layer.in, layer.out, layer.blocks, layer.rank, tokens].map(String);
  const phases: Phases[] = [];
  for (const [type, compute] of [
    ['float32', 'float'],
    ['int8', 'int8'],
  ]) {
    const found = (await program('phases', ...sizes, type, compute)) as Omit<
      Phases,
      'layer' | 'tokens' | 'compute'
    >;
    phases.push({ layer: layer.name, tokens, compute, ...found });
  }
  return phases;
}
