// Tiny ONNX models and tensors, encoded with onnx-proto, in a folder that goes away after the test.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import onnxProto, { type onnx } from 'onnx-proto';

const { ModelProto, TensorProto } = onnxProto.onnx;
const { DataLocation } = TensorProto;

export const FLOAT = 1;
export const INT64 = 7;
export const BOOL = 9;
export const FLOAT16 = 10;

export interface Value {
  name: string;
  type?: number;
  shape: (number | string)[];
}

export interface TinyNode {
  op: string;
  inputs: string[];
  outputs: string[];
  attributes?: onnx.IAttributeProto[];
  domain?: string;
  name?: string;
}

export interface TinyModel {
  inputs: Value[];
  outputs: Value[];
  nodes: TinyNode[];
  /** Float initializers, row-major: their numbers, or the file beside the model that holds them. */
  weights?: { name: string; dims: number[]; data: ArrayLike<number> | string }[];
}

/** A model of opset 17, IR 8. */
export function encodeModel(model: TinyModel): Uint8Array {
  return ModelProto.encode({
    irVersion: 8,
    producerName: 'blockrank tests',
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'tiny',
      input: model.inputs.map(valueInfo),
      output: model.outputs.map(valueInfo),
      node: model.nodes.map((node) => ({
        opType: node.op,
        name: node.name ?? `${node.op}_${node.outputs[0]}`,
        input: node.inputs,
        output: node.outputs,
        attribute: node.attributes ?? [],
        domain: node.domain ?? '',
      })),
      initializer: (model.weights ?? []).map(({ name, dims, data }) => ({
        name,
        dims,
        dataType: FLOAT,
        ...(typeof data === 'string'
          ? { dataLocation: DataLocation.EXTERNAL, externalData: [{ key: 'location', value: data }] }
          : { rawData: new Uint8Array(Float32Array.from(data).buffer) }),
      })),
    },
  }).finish();
}

export function encodeTensor(tensor: onnx.ITensorProto): Uint8Array {
  return TensorProto.encode(tensor).finish();
}

/** `y = x · W`, x [batch, rows], W filled by `weight(index)`. */
export function matMulModel(rows: number, columns: number, weight: (index: number) => number): Uint8Array {
  return encodeModel({
    inputs: [{ name: 'x', shape: ['batch', rows] }],
    outputs: [{ name: 'y', shape: ['batch', columns] }],
    nodes: [{ op: 'MatMul', inputs: ['x', 'W'], outputs: ['y'] }],
    weights: [
      { name: 'W', dims: [rows, columns], data: Array.from({ length: rows * columns }, (_, i) => weight(i)) },
    ],
  });
}

/** A scratch folder: `write` puts files there and gives their paths, `remove` deletes it all. */
export async function scratch() {
  const folder = await mkdtemp(join(tmpdir(), 'blockrank-'));
  return {
    folder,
    write: async (name: string, bytes: Uint8Array) => {
      const path = join(folder, name);
      await writeFile(path, bytes);
      return path;
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export type Scratch = Awaited<ReturnType<typeof scratch>>;

function valueInfo({ name, type = FLOAT, shape }: Value): onnx.IValueInfoProto {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: type, shape: { dim } } } };
}
