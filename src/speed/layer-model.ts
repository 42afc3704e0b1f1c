// A model of nothing but one layer, dense or factorized, as often as it takes to fill the caches: something to time.
import onnxProto, { type onnx } from 'onnx-proto';
import { encodeFloats } from '../../graph-rewriter/floats.js';
import { factorInputs } from '../../graph-rewriter/functions/factor-inputs.js';
import { DOMAIN } from '../../graph-rewriter/model.js';
import { operatorName } from '../../graph-rewriter/operator-name.js';
import { dataTypeNumber } from '../../graph-rewriter/schema.js';
import { factorDims, SCALE_TYPE } from '../../graph-rewriter/stored-factors.js';
import type { StructureSpec } from '../../graph-rewriter/factorize/types.js';
import { seededRandom } from '../inputs/random.js';
import type { Compute, FactorType } from '../../graph-rewriter/types.js';

export interface TimedLayer {
  readonly in: number;
  readonly out: number;
  /** Type of X, Y and the dense weight. */
  readonly type: 'float32' | 'float16';
}

/** How the layer's weight is stored: dense, or as factors. */
export type TimedWeight =
  'dense' | { readonly spec: StructureSpec; readonly factorType: FactorType; readonly compute: Compute };

const { onnx: proto } = onnxProto;
const OPSET = 17;

/** X [tokens, in] → Y0 … Y(copies − 1) [tokens, out], each by a weight of its own. */
export function layerModel(layer: TimedLayer, weight: TimedWeight, copies: number): Uint8Array {
  const node: onnx.INodeProto[] = [];
  const random = seededRandom(copies);
  const initializer: onnx.ITensorProto[] = [];
  for (let copy = 0; copy < copies; copy++) {
    const tensors = weightTensors(layer, weight, random).map(({ name, ...tensor }) => ({
      name: `${name}${copy}`,
      ...tensor,
    }));
    initializer.push(...tensors);
    const input = ['X', ...tensors.map(({ name }) => name)];
    node.push({ ...operator(weight), name: `layer${copy}`, input, output: [`Y${copy}`] });
  }
  const value = (name: string, size: number): onnx.IValueInfoProto => ({
    name,
    type: {
      tensorType: {
        elemType: dataTypeNumber(layer.type),
        shape: { dim: [{ dimParam: 'tokens' }, { dimValue: size }] },
      },
    },
  });
  return proto.ModelProto.encode({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: DOMAIN, version: 1 },
    ],
    graph: {
      name: 'layer',
      node,
      initializer,
      input: [value('X', layer.in)],
      output: Array.from({ length: copies }, (_, copy) => value(`Y${copy}`, layer.out)),
    },
  }).finish();
}

interface Tensor {
  readonly name: string;
  readonly dims: number[];
  readonly dataType: number;
  readonly rawData: Uint8Array;
}

function weightTensors(
  { in: inputs, out, type }: TimedLayer,
  weight: TimedWeight,
  random: () => number,
): Tensor[] {
  if (weight === 'dense') return [tensor('W', [inputs, out], type, random)];
  const { spec, factorType } = weight;
  return factorInputs(spec.structure, factorType === 'int8').map((name) => {
    const integers = factorType === 'int8' && (name === 'V' || name === 'U');
    const stored = factorType !== 'int8' || integers ? factorType : SCALE_TYPE;
    return tensor(name, factorDims({ ...spec, in: inputs, out }, name), stored, random);
  });
}

function operator(weight: TimedWeight): onnx.INodeProto {
  if (weight === 'dense') return { opType: 'MatMul' };
  const { spec, factorType, compute } = weight;
  const { STRING } = proto.AttributeProto.AttributeType;
  return {
    opType: operatorName(spec.structure, 'none', false, factorType === 'int8'),
    domain: DOMAIN,
    attribute: [{ name: 'compute', type: STRING, s: new TextEncoder().encode(compute) }],
  };
}

/**
 * Random numbers, of ordinary size since denormals would cost extra, and other ones in each copy: of 96 equal weights the dense product took a third of
 * the time of 96 different ones (seen with ONNX Runtime 1.29), as if there were one.
 */
function tensor(name: string, dims: readonly number[], type: FactorType, random: () => number): Tensor {
  const size = dims.reduce((a, b) => a * b, 1);
  const rawData =
    type === 'int8'
      ? Uint8Array.from({ length: size }, () => 256 * random())
      : encodeFloats(
          Float32Array.from({ length: size }, () => (random() - 0.5) / 32),
          type,
        );
  return { name, dims: [...dims], dataType: dataTypeNumber(type), rawData };
}
