import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;
const DOUBLE = 11;

export type Transpose = 'none' | 'left' | 'right';

/** An ONNX model that computes c = a·b over stacks of matrices, one of them transposed first. */
export function productModel(transpose: Transpose): Uint8Array {
  const value = (name: string, dims: string[]) => ({
    name,
    type: { tensorType: { elemType: DOUBLE, shape: { dim: dims.map((dimParam) => ({ dimParam })) } } },
  });
  const turn = (name: string) => ({
    opType: 'Transpose',
    input: [name],
    output: [`${name}T`],
    attribute: [{ name: 'perm', type: onnx.AttributeProto.AttributeType.INTS, ints: [0, 2, 1] }],
  });
  const left = transpose === 'left' ? [turn('a')] : [];
  const right = transpose === 'right' ? [turn('b')] : [];
  const input = [left.length ? 'aT' : 'a', right.length ? 'bT' : 'b'];
  const model = onnx.ModelProto.fromObject({
    irVersion: 7,
    producerName: 'blockrank',
    opsetImport: [{ domain: '', version: 13 }],
    graph: {
      name: `product-${transpose}`,
      node: [...left, ...right, { opType: 'MatMul', input, output: ['c'] }],
      input: [value('a', ['batchA', 'rowsA', 'colsA']), value('b', ['batchB', 'rowsB', 'colsB'])],
      output: [value('c', ['batch', 'rows', 'cols'])],
    },
  });
  return onnx.ModelProto.encode(model).finish();
}
