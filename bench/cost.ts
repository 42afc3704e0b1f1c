// What a calibrated rewrite of a language model costs, by phase: wall and processor seconds, and the peak of resident memory.
//   node dist/bench/cost.js model.onnx --tokens calibration.i32 --row-length 512 [--rows 128] [--keep 0.8] [--iterations 40] [--device cuda]
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../src/cli/table.js';
import { type Device, rewrite } from '../src/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: 'string' },
    'row-length': { type: 'string', default: '512' },
    rows: { type: 'string' },
    keep: { type: 'string', default: '0.8' },
    blocks: { type: 'string', default: '4' },
    iterations: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
  },
});

interface Cost {
  wall: number;
  processor: number;
}

/** Time from one report of progress to the next belongs to the step that the second one ends. */
class Phases {
  private readonly costs = new Map<string, Cost>();
  private last = { wall: performance.now(), processor: process.cpuUsage(), phase: 'start' };

  /** `ends`: the step is reported when it is done, and not when it begins. */
  enter(phase: string, ends: boolean): void {
    const now = { wall: performance.now(), processor: process.cpuUsage(), phase };
    const used = process.cpuUsage(this.last.processor);
    const name = ends ? phase : this.last.phase;
    const cost = this.costs.get(name) ?? { wall: 0, processor: 0 };
    cost.wall += (now.wall - this.last.wall) / 1e3;
    cost.processor += (used.user + used.system) / 1e6;
    this.costs.set(name, cost);
    this.last = now;
  }

  rows(): string[][] {
    const total = { wall: 0, processor: 0 };
    for (const { wall, processor } of this.costs.values()) {
      total.wall += wall;
      total.processor += processor;
    }
    return [...this.costs, ['all', total] as const].map(([phase, { wall, processor }]) => [
      phase,
      wall.toFixed(1),
      processor.toFixed(1),
    ]);
  }
}

/** The phase of a step, and whether progress tells its end. */
function phaseOf(step: string): readonly [phase: string, ends: boolean] {
  if (step === 'calibrating') return ['covariances', true];
  if (step === 'gradients') return ['gradients', true];
  if (step.startsWith('spectrum')) return ['spectra', false];
  if (step.startsWith('calibrating ')) return ['walk: runs and moments', false];
  if (step.startsWith('factorizing')) return ['walk: targets and fits', false];
  return ['other', false];
}

const folder = await mkdtemp(join(tmpdir(), 'blockrank-cost-'));
try {
  const phases = new Phases();
  const path = values.tokens;
  if (path === undefined || positionals.length !== 1) throw new Error('expected a model and --tokens');
  await rewrite(positionals[0], join(folder, 'out.onnx'), {
    structure: 'blast',
    blocks: Number(values.blocks),
    keep: Number(values.keep),
    device: values.device as Device,
    keepDenseIfSlower: false,
    ...(values.iterations && { iterations: Number(values.iterations) }),
    calibration: {
      tokens: {
        path,
        rowLength: Number(values['row-length']),
        ...(values.rows && { rows: Number(values.rows) }),
      },
    },
    onProgress: ({ step }) => phases.enter(...phaseOf(step)),
  });
  phases.enter('other', true);
  const columns = [
    { title: 'phase' },
    { title: 's', align: 'right' },
    { title: 'processor s', align: 'right' },
  ] as const;
  process.stdout.write(`${formatTable(columns, phases.rows(), Infinity)}\n\n`);
  process.stdout.write(`${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB at peak\n`);
} finally {
  await rm(folder, { recursive: true });
}
