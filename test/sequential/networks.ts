// Tiny residual networks with random weights, their inputs, and what they compute.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';
import type { TinyModel, TinyNode } from '../validation/helpers/tiny-model.js';
import { encodeModel } from '../validation/helpers/tiny-model.js';

export const WIDTH = 16;
export const HIDDEN = 24;

export type Random = () => number;

/** Weights whose singular values fall, as trained ones do: smooth noise plus a little white noise. */
export function weight(name: string, rows: number, columns: number, random: Random) {
  const rank = Math.min(rows, columns);
  const left = Array.from({ length: rows * rank }, random);
  const right = Array.from({ length: rank * columns }, random);
  const data = Float32Array.from({ length: rows * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += (left[i * rank + k] * right[k * columns + j]) / (k + 1);
    return sum / Math.sqrt(rows);
  });
  return { name, dims: [rows, columns], data };
}

export function vector(name: string, size: number, random: Random) {
  return { name, dims: [size], data: Float32Array.from({ length: size }, random) };
}

/** x → `blocks` times (x + down(relu(up(x) + b)) + c) → y; up and down are MatMuls with biases. */
export function residualMlp(blocks: number, seed: number): TinyModel {
  const random = randomNormal(seed);
  const nodes: TinyNode[] = [];
  const weights = [];
  for (let i = 0, x = 'x'; i < blocks; i++) {
    const last = i === blocks - 1;
    const next = last ? 'y' : `x${i + 1}`;
    nodes.push(
      { op: 'MatMul', name: `up${i}`, inputs: [x, `U${i}`], outputs: [`u${i}`] },
      { op: 'Add', inputs: [`u${i}`, `b${i}`], outputs: [`ub${i}`] },
      { op: 'Relu', inputs: [`ub${i}`], outputs: [`h${i}`] },
      { op: 'MatMul', name: `down${i}`, inputs: [`h${i}`, `D${i}`], outputs: [`d${i}`] },
      { op: 'Add', inputs: [`c${i}`, `d${i}`], outputs: [`dc${i}`] },
      { op: 'Add', inputs: [x, `dc${i}`], outputs: [next] },
    );
    weights.push(
      weight(`U${i}`, WIDTH, HIDDEN, random),
      vector(`b${i}`, HIDDEN, random),
      weight(`D${i}`, HIDDEN, WIDTH, random),
      vector(`c${i}`, WIDTH, random),
    );
    x = next;
  }
  const shape = ['batch', 'time', WIDTH];
  return { inputs: [{ name: 'x', shape }], outputs: [{ name: 'y', shape }], nodes, weights };
}

export function save(folder: string, name: string, model: TinyModel): string {
  const path = join(folder, name);
  writeFileSync(path, encodeModel(model));
  return path;
}

/** Inputs of correlated features. */
export function feeds(batches: number, rows: number, seed: number): Record<string, ort.Tensor>[] {
  const random = randomNormal(seed);
  const mix = Array.from({ length: WIDTH * WIDTH }, (_, at) => random() / (1 + (at % WIDTH)));
  return Array.from({ length: batches }, () => {
    const data = new Float32Array(rows * WIDTH);
    for (let row = 0; row < rows; row++) {
      const z = Array.from({ length: WIDTH }, random);
      for (let i = 0; i < WIDTH; i++)
        for (let k = 0; k < WIDTH; k++) data[row * WIDTH + i] += mix[i * WIDTH + k] * z[k];
    }
    return { x: new ort.Tensor('float32', data, [1, rows, WIDTH]) };
  });
}

export async function run(
  path: string,
  inputs: readonly Record<string, ort.Tensor>[],
): Promise<Float64Array> {
  const session = await ort.InferenceSession.create(path, { logSeverityLevel: 3 });
  const parts: number[] = [];
  for (const feed of inputs) parts.push(...((await session.run(feed)).y.data as Float32Array));
  await session.release();
  return Float64Array.from(parts);
}

/** ‖a − b‖ / ‖a‖ */
export function distance(a: Float64Array, b: Float64Array): number {
  let error = 0;
  let whole = 0;
  a.forEach((value, i) => {
    error += (value - b[i]) ** 2;
    whole += value ** 2;
  });
  return Math.sqrt(error / whole);
}
