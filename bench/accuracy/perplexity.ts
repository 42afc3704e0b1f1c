/**
 * Perplexity of language models on rows of tokens:
 *
 *   node dist/bench/accuracy/perplexity.js --tokens smollm2-test.i32 --row-length 512 [--rows 8] model.onnx…
 *
 * exp of the mean of −ln p(token i | tokens 0 … i − 1 of its row), i = 1 …, over all rows; no token put before a row,
 * positions from 0, attention mask 1; ln p in double from the logits, the model's first output.
 */
import { parseArgs } from 'node:util';
import type { Tensor } from 'onnxruntime-node';
import { halfToNumber } from '../../src/inputs/half.js';
import { readGraphInputs } from '../../src/inputs/index.js';
import { readTokenRows, tokenFeeds, type TokenFile } from '../../src/inputs/tokens.js';
import { createSession } from '../../src/session.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: 'string' },
    'row-length': { type: 'string', default: '512' },
    rows: { type: 'string' },
    batch: { type: 'string', default: '1' },
  },
});
if (!values.tokens || positionals.length === 0) throw new Error('--tokens and a model are needed');
const file: TokenFile = {
  path: values.tokens,
  rowLength: Number(values['row-length']),
  batch: Number(values.batch),
  ...(values.rows !== undefined && { rows: Number(values.rows) }),
};
process.stdout.write('| model | rows | perplexity |\n|---|---|---|\n');
for (const model of positionals) {
  const { loss, count, rows } = await measure(model);
  process.stdout.write(`| ${model} | ${rows} | ${Math.exp(loss / count).toFixed(3)} |\n`);
}

async function measure(model: string): Promise<{ loss: number; count: number; rows: number }> {
  const { session } = await createSession(model, { logSeverityLevel: 3, enableCpuMemArena: false });
  const rows = await readTokenRows(file);
  let loss = 0;
  let count = 0;
  let row = 0;
  for await (const feeds of tokenFeeds(readGraphInputs(model), file)) {
    const logits = (await session.run(feeds, [session.outputNames[0]]))[session.outputNames[0]];
    for (let text = 0; text < logits.dims[0]; text++, row++) {
      loss += rowLoss(logits, text, rows[row]);
      count += rows[row].length - 1;
    }
  }
  await session.release();
  return { loss, count, rows: row };
}

function rowLoss(logits: Tensor, text: number, tokens: readonly number[]): number {
  const [, length, vocabulary] = logits.dims;
  let loss = 0;
  for (let at = 0; at + 1 < tokens.length; at++) {
    const start = (text * length + at) * vocabulary;
    loss -= logProbability(numbers(logits, start, vocabulary), tokens[at + 1]);
  }
  return loss;
}

function numbers({ type, data }: Tensor, start: number, count: number): Float32Array {
  if (type !== 'float16') return (data as Float32Array).subarray(start, start + count);
  return Float32Array.from((data as Uint16Array).subarray(start, start + count), halfToNumber);
}

function logProbability(logits: Float32Array, token: number): number {
  let peak = -Infinity;
  for (const value of logits) peak = Math.max(peak, value);
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - peak);
  return logits[token] - peak - Math.log(sum);
}
