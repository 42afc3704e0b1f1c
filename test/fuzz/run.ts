// npm run fuzz: damages models and gives them to the rewriter; prints what came of it and fails where a defect was found.
import { mkdirSync, copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../src/loader/locate.js';
import { type Outcome, paths } from './case.js';
import { Child } from './child.js';
import type { FromProbe, ProbeRequest } from './probe.js';
import type { FromWorker, Job } from './worker.js';

/** Milliseconds; more than a busy machine takes. */
const HANG = 90_000;
/** Above what a worker needs for its modules and the largest undamaged model. */
const MEMORY = 900 << 20;
const PROBE_EVERY = 25;
/** Exact factors in float32 and float16 models, over a few layers. */
const TOLERANCE = 0.02;

const { values: options } = parseArgs({
  options: {
    cases: { type: 'string', default: '5000' },
    first: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '10' },
    corpus: { type: 'string', multiple: true, default: [] as string[] },
  },
});

/** Where the files of defects go. */
const KEEP = join(packageRoot(), 'build', 'fuzz');
const corpora = options.corpus ?? [];

const counts = new Map<string, number>();
const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
const defects: string[] = [];

const probe = new Child<FromProbe>('./probe.js');
const worker = new Child<FromWorker>('./worker.js', ['--max-old-space-size=512']);
const [first, cases] = [Number(options.first), Number(options.cases)];
const deadline = Date.now() + Number(options.minutes) * 60_000;
let folder = '';
let at = first;

function defect(what: string): void {
  count('defects');
  defects.push(`case ${at}: ${what}`);
  process.stderr.write(`case ${at}: ${what}\n`);
  mkdirSync(KEEP, { recursive: true });
  for (const [name, path] of Object.entries(paths(folder)))
    if (existsSync(path)) copyFileSync(path, join(KEEP, `${options.seed}-${at}-${name}.onnx`));
}

while (at < first + cases && Date.now() < deadline) {
  if (!worker.isRunning)
    worker.send({
      seed: Number(options.seed),
      first: at,
      end: first + cases,
      corpora,
    } satisfies Job);
  const message = await worker.next(HANG);
  if ('ended' in message) {
    defect(`the process ended: ${message.ended}`);
    if (folder) rmSync(folder, { recursive: true, force: true });
    at++;
  } else if ('folder' in message) folder = message.folder;
  else if ('started' in message) at = message.started;
  else {
    await look(message);
    at++;
    if (at < first + cases) worker.send({});
  }
}
worker.send({});
worker.stop();
probe.stop();
summarize();

async function look({ outcome, rss, index }: Extract<FromWorker, { index: number }>): Promise<void> {
  count(`outcome ${outcome.result}`);
  for (const name of new Set(outcome.mutations)) count(`mutation ${name}`);
  if (outcome.defect !== undefined)
    defect(`${outcome.seed}, ${outcome.mutations.join('+')}: ${outcome.defect}`);
  if (rss > MEMORY) defect(`${outcome.seed}: ${Math.round(rss / 2 ** 20)} MB of memory`);
  const isWritten = outcome.result === 'rewritten' || outcome.result === 'densified';
  if (isWritten && (outcome.error !== undefined || index % PROBE_EVERY === 0)) await open(outcome, index);
}

/** In ONNX Runtime: what opened before must open after, and exact factors must give the same outputs. */
async function open(outcome: Outcome, index: number): Promise<void> {
  const isExact = (outcome.error ?? 1) < 1e-3;
  probe.send({ ...paths(folder), plugin: index % 2 === 0, compare: isExact } satisfies ProbeRequest);
  let blamed = 'source';
  for (;;) {
    const answer = await probe.next(HANG);
    if ('at' in answer) blamed = answer.at;
    else if ('ended' in answer) {
      count(`onnxruntime: ended by the ${blamed}`);
      if (blamed === 'target')
        defect(`${outcome.seed}, ${outcome.mutations.join('+')}: ONNX Runtime: ${answer.ended}`);
      return;
    } else {
      judge(answer, outcome);
      return;
    }
  }
}

function judge(answer: Extract<FromProbe, { source: string }>, outcome: Outcome): void {
  const [source, target] = [answer.source === 'ok', answer.target === 'ok'];
  count(
    `onnxruntime: ${source ? (target ? 'both open' : 'only the source opens') : target ? 'only the target opens' : 'neither opens'}`,
  );
  if (source && !target) defect(`${outcome.seed}, ${outcome.mutations.join('+')}: ${answer.target}`);
  if (answer.difference === undefined) return;
  count('onnxruntime: compared');
  if (!(answer.difference <= TOLERANCE))
    defect(`${outcome.seed}, ${outcome.mutations.join('+')}: outputs differ by ${answer.difference}`);
}

function summarize(): void {
  const lines = [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([what, n]) => `${String(n).padStart(9)}  ${what}`);
  process.stdout.write(
    `seed ${options.seed}, cases ${first}…${at - 1} (${at - first})\n${lines.join('\n')}\n`,
  );
  process.exitCode = defects.length > 0 ? 1 : 0;
}
