/**
 * What a rewritten sentence encoder still gets right, beside its original:
 *
 *   node dist/bench/accuracy/encoder.js --original model.onnx --data folder rewritten.onnx…
 *
 * The folder holds flat little-endian files: minilm-test.i32 (rows of 128 tokens) with -lengths.i32, minilm-lee.i32 (154) with
 * -lengths.i32, and minilm-lee-human.f32, the similarity of each two of its texts by people. Printed for each model: mean and
 * least cosine between its embeddings and the original's over the test texts, and the Pearson correlation of the cosines of
 * Lee's pairs with people's judgement.
 */
import { parseArgs } from 'node:util';
import { judgeEncoder } from './subjects/minilm.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    original: { type: 'string' },
    data: { type: 'string' },
    batch: { type: 'string', default: '16' },
  },
});
const { original, data, batch } = values;
if (!original || !data) throw new Error('--original and --data are needed');
process.stdout.write('| model | mean cosine | least | Pearson (Lee) |\n|---|---|---|---|\n');
for (const model of [original, ...positionals]) {
  const figures = await judgeEncoder(original, model, data, Number(batch));
  const cells = Object.values(figures).map((value) => value.toFixed(4));
  process.stdout.write(`| ${[model, ...cells].join(' | ')} |\n`);
}
