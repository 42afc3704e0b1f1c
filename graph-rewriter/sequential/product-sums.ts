// Sums over tokens of products of two activations, by ONNX Runtime.
import onnxProto, { type onnx as Onnx } from 'onnx-proto';
import type * as Ort from 'onnxruntime-node';
import type { Engine } from '../factorize/engine.js';
import { floatSums } from './float-sums.js';
import { loadOnnxRuntime } from '../onnxruntime.js';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;
const { DataType } = onnx.TensorProto;

const FLOATS: Readonly<Record<string, number>> = {
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  float64: DataType.DOUBLE,
};

/** Rows of activations: any axes, the last one is the features'. */
export interface Rows {
  readonly tensor: Ort.Tensor;
  readonly count: number;
  readonly size: number;
}

export function rowsOf(tensor: Ort.Tensor): Rows {
  const size = tensor.dims.at(-1) ?? 1;
  return { tensor, size, count: size === 0 ? 0 : tensor.size / size };
}

/** aᵀ·b [n, m] and the column sums of a [n], in float32, over the rows that a mask keeps. */
export interface ProductSum {
  readonly product: Float32Array;
  readonly sum: Float32Array;
}

/** Keeps one session for each pair of element types. */
export class ProductSums {
  private readonly sessions = new Map<string, Promise<Ort.InferenceSession>>();
  private readonly runtime = loadOnnxRuntime();

  /** Of float32, `gram` takes the place of sessions. */
  constructor(
    private readonly options: Ort.InferenceSession.SessionOptions,
    private readonly gram?: Engine['gram'],
  ) {}

  /** With `minus`, a − minus takes the place of a. One byte of `mask` a row, 0 leaves it out. */
  async of(a: Rows, b: Rows, mask: Uint8Array, minus?: Rows): Promise<ProductSum> {
    const isFloat = [a, b, ...(minus ? [minus] : [])].every(({ tensor }) => tensor.type === 'float32');
    if (this.gram && isFloat) return floatSums(this.gram, a, b, mask, minus);
    const key = `${a.tensor.type} ${b.tensor.type} ${minus !== undefined}`;
    let session = this.sessions.get(key);
    if (session === undefined) {
      const bytes = productModel(FLOATS[a.tensor.type], FLOATS[b.tensor.type], minus !== undefined);
      session = this.runtime.InferenceSession.create(bytes, this.options);
      this.sessions.set(key, session);
    }
    const { Tensor } = this.runtime;
    const keep = new Tensor('bool', mask, [a.count, 1]);
    const feeds = { a: matrix(a), b: matrix(b), keep, ...(minus && { minus: matrix(minus) }) };
    const { product, sum } = await (await session).run(feeds);
    return { product: product.data as Float32Array, sum: sum.data as Float32Array };
  }

  async close(): Promise<void> {
    for (const session of this.sessions.values()) await (await session).release();
    this.sessions.clear();
  }
}

export function isSummable(type: string): boolean {
  return type in FLOATS;
}

const matrix = ({ tensor, count, size }: Rows) => tensor.reshape([count, size]);

/** Rows that are left out may hold anything, NaN too: they are replaced by zeros, not multiplied by them. */
function productModel(a: number, b: number, minus: boolean): Uint8Array {
  const op = (
    opType: string,
    input: string[],
    output: string,
    attribute: Onnx.IAttributeProto[] = [],
  ): Onnx.INodeProto => ({ opType, input, output: [output], attribute });
  const value = (name: string, elemType: number, dims: string[]): Onnx.IValueInfoProto => ({
    name,
    type: { tensorType: { elemType, shape: { dim: dims.map((dimParam) => ({ dimParam })) } } },
  });
  const float = [{ name: 'to', type: AttributeType.INT, i: DataType.FLOAT }];
  const model = {
    irVersion: 7,
    opsetImport: [{ domain: '', version: 11 }],
    graph: {
      name: 'blockrank.products',
      node: [
        op('Cast', ['a'], minus ? 'a.whole' : 'a.float', float),
        ...(minus
          ? [op('Cast', ['minus'], 'minus.float', float), op('Sub', ['a.whole', 'minus.float'], 'a.float')]
          : []),
        op('Cast', ['b'], 'b.float', float),
        op('Where', ['keep', 'a.float', 'zero'], 'a.kept'),
        op('Where', ['keep', 'b.float', 'zero'], 'b.kept'),
        op('Transpose', ['a.kept'], 'a.turned', [{ name: 'perm', type: AttributeType.INTS, ints: [1, 0] }]),
        op('MatMul', ['a.turned', 'b.kept'], 'product'),
        op('ReduceSum', ['a.kept'], 'sum', [
          { name: 'axes', type: AttributeType.INTS, ints: [0] },
          { name: 'keepdims', type: AttributeType.INT, i: 0 },
        ]),
      ],
      initializer: [{ name: 'zero', dims: [], dataType: DataType.FLOAT, floatData: [0] }],
      input: [
        value('a', a, ['rows', 'n']),
        value('b', b, ['rows', 'm']),
        value('keep', DataType.BOOL, ['rows', 'one']),
        ...(minus ? [value('minus', a, ['rows', 'n'])] : []),
      ],
      output: [value('product', DataType.FLOAT, ['n', 'm']), value('sum', DataType.FLOAT, ['n'])],
    },
  };
  return onnx.ModelProto.encode(onnx.ModelProto.fromObject(model)).finish();
}
