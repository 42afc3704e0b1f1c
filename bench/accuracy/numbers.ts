// Figures that compare two lists of numbers, in double.
import { readFile } from 'node:fs/promises';

type Numbers = ArrayLike<number>;

export function dot(a: Numbers, b: Numbers): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function cosine(a: Numbers, b: Numbers): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** ‖a − b‖ / ‖b‖ */
export function relativeError(a: Numbers, b: Numbers): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum / dot(b, b));
}

export function pearson(a: readonly number[], b: readonly number[]): number {
  const [ma, mb] = [mean(a), mean(b)];
  return cosine(
    a.map((value) => value - ma),
    b.map((value) => value - mb),
  );
}

/** Edits between two lists of words, over the words of the second. */
export function wordErrorRate(heard: string, said: string): number {
  const [a, b] = [heard, said].map((text) => text.toLowerCase().match(/[a-z']+/g) ?? []);
  let row = b.map((_, j) => j + 1);
  row.unshift(0);
  for (const [i, word] of a.entries()) {
    const next = [i + 1];
    for (const [j, other] of b.entries())
      next.push(Math.min(next[j] + 1, row[j + 1] + 1, row[j] + (word === other ? 0 : 1)));
    row = next;
  }
  return row[b.length] / b.length;
}

export async function readBytes(path: string): Promise<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = await readFile(path);
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}
