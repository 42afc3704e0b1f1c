import type * as Ort from 'onnxruntime-node';
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

/** Matrix products by ONNX Runtime: every core of the CPU, or a GPU. */
export interface Engine {
  /** a·b, aᵀ·b (`left`) or a·bᵀ (`right`), matrix by matrix; a batch of one is used against every matrix of the other. */
  multiply(a: Stack, b: Stack, transpose?: Transpose): Promise<Stack>;
}

export interface EngineOptions {
  /** As in onnxruntime-node's session options, e.g. `['cuda']`; the CPU when absent. */
  readonly executionProviders?: Ort.InferenceSession.SessionOptions['executionProviders'];
}

/** An engine keeps its three sessions (one for each transposition); they are created when first used. */
export function createEngine(options: EngineOptions = {}): Engine {
  const sessions = new Map<Transpose, Promise<Product>>();
  return {
    async multiply(a, b, transpose = 'none') {
      const inner =
        transpose === 'left' ? [a.rows, b.rows] : transpose === 'right' ? [a.cols, b.cols] : [a.cols, b.rows];
      if (inner[0] !== inner[1] || (a.batch !== b.batch && a.batch !== 1 && b.batch !== 1))
        throw new RangeError(`product of ${describe(a)} and ${describe(b)}, transposed: ${transpose}`);
      let session = sessions.get(transpose);
      if (!session) sessions.set(transpose, (session = createProduct(transpose, options)));
      const data = await (await session)(a, b);
      return stack(
        data,
        Math.max(a.batch, b.batch),
        transpose === 'left' ? a.cols : a.rows,
        transpose === 'right' ? b.rows : b.cols,
      );
    },
  };
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
