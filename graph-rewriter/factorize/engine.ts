import type * as Ort from 'onnxruntime-node';
import { type Loops, plainLoops } from './loops.js';
import { loadOnnxRuntime } from '../onnxruntime.js';
import { productModel, type Transpose } from './product-model.js';

/** `batch` equally sized row-major matrices one after another, in double. */
export interface Stack {
  readonly data: Float64Array;
  readonly batch: number;
  readonly rows: number;
  readonly cols: number;
}

export function stack(data: Float64Array, batch: number, rows: number, cols: number): Stack {
  if (data.length !== batch * rows * cols)
    throw new RangeError(`${data.length} values do not fill ${batch}×${rows}×${cols}`);
  return { data, batch, rows, cols };
}

export type { Transpose };

/** What linear algebra is done by: matrix products on every core of the CPU or on a GPU, and loops around them. */
export interface Engine {
  readonly loops: Loops;
  /**
   * a·b, aᵀ·b (`left`) or a·bᵀ (`right`), matrix by matrix; a batch of one is used against every matrix of the other.
   * The result may be put into `room`, where that is given: an array of its length that holds nothing else.
   */
  multiply(a: Stack, b: Stack, transpose?: Transpose, room?: Float64Array): Promise<Stack>;
  /** aᵀ·b of a [rows, n] and b [rows, m] in float32, where the engine is faster at it than a session. */
  gram?(a: Float32Array, b: Float32Array, rows: number, n: number, m: number): Float32Array;
}

export interface EngineOptions {
  /** As in onnxruntime-node's session options, e.g. `['cuda']`; the CPU when absent. */
  readonly executionProviders?: Ort.InferenceSession.SessionOptions['executionProviders'];
}

/** Products by ONNX Runtime and plain loops. Keeps three sessions (one for each transposition), which are created when first used. */
export function createEngine(options: EngineOptions = {}): Engine {
  const sessions = new Map<Transpose, Promise<Product>>();
  return {
    loops: plainLoops,
    async multiply(a, b, transpose = 'none') {
      const { batch, rows, columns } = productShape(a, b, transpose);
      let session = sessions.get(transpose);
      if (!session) sessions.set(transpose, (session = createProduct(transpose, options)));
      return stack(await (await session)(a, b), batch, rows, columns);
    },
  };
}

/** Of a·b: `rows` × `columns` sums of `depth` terms, `batch` times. @throws RangeError where the two do not fit */
export function productShape(a: Stack, b: Stack, transpose: Transpose) {
  const [rows, depth] = transpose === 'left' ? [a.cols, a.rows] : [a.rows, a.cols];
  const [other, columns] = transpose === 'right' ? [b.cols, b.rows] : [b.rows, b.cols];
  if (depth !== other || (a.batch !== b.batch && a.batch !== 1 && b.batch !== 1))
    throw new RangeError(`product of ${describe(a)} and ${describe(b)}, transposed: ${transpose}`);
  return { rows, depth, columns, batch: Math.max(a.batch, b.batch) };
}

let shared: Engine | undefined;

/** The CPU engine that is used where the caller brings none. */
export function defaultEngine(): Engine {
  return (shared ??= createEngine());
}

type Product = (a: Stack, b: Stack) => Promise<Float64Array>;

async function createProduct(transpose: Transpose, options: EngineOptions): Promise<Product> {
  const ort = loadOnnxRuntime();
  const session = await ort.InferenceSession.create(productModel(transpose), {
    executionProviders: options.executionProviders ?? ['cpu'],
    // The arena would keep the largest product's memory for the life of the process.
    enableCpuMemArena: false,
    logSeverityLevel: 3,
    // Between products the main thread works alone; spinning pool threads would only take its core.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  const tensor = (m: Stack) => new ort.Tensor('float64', m.data, [m.batch, m.rows, m.cols]);
  return async (a, b) => {
    const { c } = await session.run({ a: tensor(a), b: tensor(b) });
    return c.data as Float64Array;
  };
}

const describe = (m: Stack) => `${m.batch}×${m.rows}×${m.cols}`;
