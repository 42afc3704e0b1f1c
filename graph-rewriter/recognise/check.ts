// The safety net of recognition: a layer's own nodes and its factors must give the same result on random input.
import { randomNormal } from '../factorize/linalg/random.js';
import type { Factors } from '../factorize/types.js';
import { BlockrankError } from '../errors.js';
import { decodeFloats, encodeFloats } from '../floats.js';
import { loadOnnxRuntime } from '../onnxruntime.js';
import type { Reason } from '../types.js';
import { evaluateFactors } from './evaluate.js';
import { excerpt } from './excerpt.js';
import type { Recognition } from './index.js';
import { rowNumbers } from './numbers.js';

/** Of the largest result. A wrong structure differs by about 1; float16 models round every intermediate value. */
const TOLERANCE = { float32: 1e-3, float16: 5e-2 } as const;
/** More tokens would show nothing new. */
const MAX_TOKENS = 4;

/** The reason not to use the factors, or undefined where they compute what the layer does. */
export async function checkRecognition(
  { checked, input, dtype, structure }: Recognition,
  factors: Factors,
): Promise<Reason | undefined> {
  const type = dtype as 'float32' | 'float16';
  const part = excerpt({ ...checked, input, dtype: type });
  if (part === undefined) return differs('its nodes could not be run apart from the model to compare them');
  const run = await runExcerpt(part.model, part.inputs, input, checked.output, type).catch(refused);
  if ('code' in run) return run;
  const { x, y } = run;
  const few = x.subarray(0, MAX_TOKENS * structure.in);
  const expected = evaluateFactors(
    factors,
    structure.interleaved,
    rowNumbers(structure.constants, structure.row),
    few,
  );
  const largest = greatest(expected);
  const difference = greatest(expected.map((value, i) => value - y[i]));
  const isWhole = y.length / structure.out === x.length / structure.in;
  // A LoRA branch that was never trained gives zeros: then both must.
  if (isWhole && difference <= TOLERANCE[type] * largest) return undefined;
  return differs(
    `its nodes and its factors differ by ${difference.toExponential(1)} where the largest result is ${largest.toExponential(1)}`,
  );
}

/** NaN where there is one. */
function greatest(values: Float64Array): number {
  return values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
}

/** A model that ONNX Runtime does not take is not taken over either; what keeps every model from running is an error. */
function refused(error: unknown): Reason {
  if (error instanceof BlockrankError) throw error;
  return differs(`ONNX Runtime does not run its nodes: ${(error as Error).message}`);
}

function differs(why: string): Reason {
  return { code: 'factors-differ', message: `It looks factorized already, but ${why}.` };
}

async function runExcerpt(
  model: Uint8Array,
  inputs: ReadonlyMap<string, readonly number[]>,
  input: string,
  output: string,
  type: 'float32' | 'float16',
): Promise<{ x: Float32Array; y: Float32Array }> {
  const ort = loadOnnxRuntime();
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3, enableCpuMemArena: false });
  try {
    const random = randomNormal(1);
    const count = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
    const values = new Map(
      [...inputs].map(([name, dims]) => [name, Float32Array.from({ length: count(dims) }, random)]),
    );
    const tensor = (name: string, dims: readonly number[]) => {
      const numbers = values.get(name)!;
      if (type === 'float32') return new ort.Tensor('float32', numbers, dims);
      const bytes = encodeFloats(numbers, 'float16');
      return new ort.Tensor('float16', new Uint16Array(bytes.buffer, bytes.byteOffset, numbers.length), dims);
    };
    const feeds = Object.fromEntries([...inputs].map(([name, dims]) => [name, tensor(name, dims)]));
    const { data } = (await session.run(feeds))[output];
    return { x: values.get(input)!, y: widen(data as ArrayLike<number>) };
  } finally {
    await session.release();
  }
}

/** Of float16, the bits where the runtime has no Float16Array. */
function widen(data: ArrayLike<number>): Float32Array {
  if (!(data instanceof Uint16Array)) return Float32Array.from(data);
  const wide = new Float32Array(data.length);
  decodeFloats(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 'float16', wide, 0);
  return wide;
}
