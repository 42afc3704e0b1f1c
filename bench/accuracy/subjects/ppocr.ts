// The demo's text recogniser: cosine of its outputs to the original's on the worst line, and lines read as before.
import type { Feeds } from '../../../src/calibrate.js';
import { findDemoAssets } from '../../../src/demo/assets.js';
import { readFeed, recognise, textOf } from '../../../src/demo/recognise.js';
import { readGraphInputs } from '../../../src/inputs/index.js';
import { createSession } from '../../../src/session.js';
import { cosine, mean } from '../numbers.js';
import type { Subject } from './subject.js';

export const ppocr: Subject = {
  model: 'ppocr/paddle-rec-fp32.onnx',
  exclude: ['*Conv*'],
  // Divides every width: opset 9 has no portable form for a shorter last block.
  blocks: 5,
  async calibration() {
    const { model, calibration } = await findDemoAssets();
    const [{ name }] = readGraphInputs(model);
    return Promise.all(calibration.map((line): Promise<Feeds> => readFeed(line, name)));
  },
  figures: { 'mean cosine': 'larger', 'least cosine': 'larger', 'lines read alike': 'larger' },
  async judge(original, model) {
    const { alphabet, test } = await findDemoAssets();
    const [{ name }] = readGraphInputs(original);
    const dense = (await createSession(original, { logSeverityLevel: 3 })).session;
    const changed = (await createSession(model, { logSeverityLevel: 3 })).session;
    const cosines: number[] = [];
    let alike = 0;
    for (const line of test) {
      const feed = await readFeed(line, name);
      const [expected, found] = [await recognise(dense, feed), await recognise(changed, feed)];
      cosines.push(cosine(found.data as Float32Array, expected.data as Float32Array));
      if (textOf(found, alphabet) === textOf(expected, alphabet)) alike++;
    }
    await Promise.all([dense.release(), changed.release()]);
    return {
      'mean cosine': mean(cosines),
      'least cosine': Math.min(...cosines),
      'lines read alike': alike / test.length,
    };
  },
};
