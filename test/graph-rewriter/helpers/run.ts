// Runs a model in onnxruntime-node, without the plugin unless that is asked for.
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { withPlugin } from '../../../src/validation/plugin.js';
import { decodeFloats, encodeFloats } from '../../../graph-rewriter/floats.js';

const OPTIONS: InferenceSession.SessionOptions = {
  logSeverityLevel: 3,
  intraOpNumThreads: 1,
  // Else ONNX Runtime rounds the inputs of dequantized MatMuls to 8 bits: three digits of a reference.
  extra: { session: { qdq_matmulnbits_accuracy_level: '1' } },
};

export interface Fed {
  readonly dims: readonly number[];
  readonly data: Float32Array;
  readonly type?: 'float32' | 'float16' | 'int64';
}

export async function runModel(
  model: Uint8Array | string,
  feeds: Record<string, Fed>,
  plugin = false,
): Promise<Record<string, { dims: readonly number[]; data: Float32Array }>> {
  const session = await withPlugin(plugin, () => open(model));
  try {
    const inputs = Object.entries(feeds).map(([name, fed]) => [name, toTensor(fed)] as const);
    const outputs = await session.run(Object.fromEntries(inputs));
    return Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, fromTensor(t)]));
  } finally {
    await session.release();
  }
}

export async function interfaceOf(model: Uint8Array | string) {
  const session = await open(model);
  const { inputMetadata, outputMetadata } = session;
  await session.release();
  return { inputMetadata, outputMetadata };
}

function open(model: Uint8Array | string): Promise<InferenceSession> {
  return typeof model === 'string'
    ? InferenceSession.create(model, OPTIONS)
    : InferenceSession.create(model, OPTIONS);
}

function toTensor({ dims, data, type = 'float32' }: Fed): Tensor {
  if (type === 'int64') return new Tensor('int64', BigInt64Array.from(data, BigInt), dims);
  if (type === 'float32') return new Tensor('float32', data, dims);
  const bytes = encodeFloats(data, 'float16');
  return new Tensor('float16', new Uint16Array(bytes.buffer, bytes.byteOffset, data.length), dims);
}

function fromTensor(tensor: Tensor): { dims: readonly number[]; data: Float32Array } {
  if (tensor.type !== 'float16')
    return { dims: tensor.dims, data: Float32Array.from(tensor.data as Float32Array) };
  const bits = tensor.data as Uint16Array;
  const data = new Float32Array(bits.length);
  decodeFloats(new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength), 'float16', data, 0);
  return { dims: tensor.dims, data };
}
