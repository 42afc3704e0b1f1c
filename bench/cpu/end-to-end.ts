// npm run bench:models -- [--tokens 16,128] FILE…: whole models turn by turn, as ratios to the first one.
//
// For encoders of text: every input is int64 [1, tokens], ids count up and masks are ones.
import { cpus } from 'node:os';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-node';
import { formatTable } from '../../src/cli/table.js';
import { register } from '../../src/loader/register.js';

const ROUNDS = 25;
const LEAST_SECONDS = 0.05;

function feeds(session: ort.InferenceSession, tokens: number): Record<string, ort.Tensor> {
  const tensor = (name: string) => {
    const value = (i: number) => BigInt(name.includes('mask') ? 1 : name.includes('type') ? 0 : 1000 + i);
    return new ort.Tensor(
      'int64',
      BigInt64Array.from({ length: tokens }, (_, i) => value(i)),
      [1, tokens],
    );
  };
  return Object.fromEntries(session.inputNames.map((name) => [name, tensor(name)]));
}

async function timeRound(session: ort.InferenceSession, inputs: Record<string, ort.Tensor>): Promise<number> {
  const start = performance.now();
  let runs = 0;
  for (; performance.now() - start < LEAST_SECONDS * 1000; runs++) await session.run(inputs);
  return (performance.now() - start) / runs;
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: 'string', default: '16,128' },
    threads: { type: 'string', default: String(cpus().length) },
  },
});
register();
const sessions: ort.InferenceSession[] = [];
for (const file of positionals)
  sessions.push(
    await ort.InferenceSession.create(file, {
      intraOpNumThreads: Number(values.threads),
      extra: { session: { force_spinning_stop: '1' } },
    }),
  );
const rows: string[][] = [];
for (const tokens of (values.tokens ?? '').split(',').map(Number)) {
  const times = sessions.map((): number[] => []);
  for (let round = -1; round < ROUNDS; round++)
    for (const [i, session] of sessions.entries()) {
      const time = await timeRound(session, feeds(session, tokens));
      if (round >= 0) times[i].push(time);
    }
  for (const [i, own] of times.entries()) {
    // The median over rounds of the pair's ratio: what slows the machine slows both of a round.
    const ratio = median(own.map((time, round) => times[0][round] / time));
    rows.push([basename(positionals[i]), String(tokens), median(own).toFixed(2), `${ratio.toFixed(2)}×`]);
  }
}
const titles = ['model', 'tokens', 'ms', 'speed over the first'];
process.stdout.write(
  `${formatTable(
    titles.map((title, i) => ({ title, align: i === 0 ? 'left' : 'right' })),
    rows,
  )}\n`,
);
