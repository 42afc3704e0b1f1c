// A BLAST layer as a graph, in parts that tests exchange.
import type { onnx } from 'onnx-proto';
import { int64s, node, tensor } from '../helpers/onnx.js';
import { IN, layerModel, type LayerModel, OUT } from '../helpers/layer-model.js';
import { random } from '../helpers/reference.js';

export const B = 4;
export const R = 3;
const P = IN / B;
const Q = OUT / B;

export const V = tensor('v', [B, P, R], random(IN * R, 1));
export const S = tensor('s', [B, B, 1, R], random(B * B * R, 2));
export const U = tensor('u', [B, R, Q], random(OUT * R, 3));

/** x [n, IN] → y [n, OUT]; each step may be replaced by other nodes that read and make the same values. */
export function blastNodes(
  other: Partial<Record<keyof typeof STEPS, readonly onnx.INodeProto[]>> = {},
): onnx.INodeProto[] {
  return Object.entries(STEPS).flatMap(([name, nodes]) => other[name as keyof typeof STEPS] ?? nodes);
}

const STEPS = {
  cut: [
    node('Reshape', ['x', 'cut'], ['cutX'], {}, { name: 'cut' }),
    node('Transpose', ['cutX'], ['blocks'], { perm: [1, 0, 2] }),
  ],
  inner: [node('MatMul', ['blocks', 'v'], ['t'], {}, { name: 'inner' })],
  spread: [node('Unsqueeze', ['t', 'zero'], ['t1'])],
  couple: [node('Mul', ['t1', 's'], ['t2'], {}, { name: 'couple' })],
  sum: [node('ReduceSum', ['t2', 'one'], ['z'], { keepdims: 0 }, { name: 'sum' })],
  outer: [node('MatMul', ['z', 'u'], ['rows'], {}, { name: 'outer' })],
  join: [
    node('Transpose', ['rows'], ['tokens'], { perm: [1, 0, 2] }),
    node('Reshape', ['tokens', 'join'], ['y'], {}, { name: 'join' }),
  ],
};

export const INITIALIZERS = [
  V,
  S,
  U,
  int64s('cut', [-1, B, P]),
  int64s('join', [-1, OUT]),
  int64s('zero', [0]),
  int64s('one', [1]),
];

export function blastModel(model: Partial<LayerModel> = {}): Uint8Array {
  return layerModel({ leading: [7], nodes: blastNodes(), initializers: INITIALIZERS, ...model });
}
