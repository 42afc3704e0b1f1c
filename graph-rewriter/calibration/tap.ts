import onnxProto, { type onnx as Onnx } from 'onnx-proto';
import type { Move } from '../moves.js';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;
const { DataType } = onnx.TensorProto;

/** `Slice` takes its bounds as inputs from here on. */
const SLICE_INPUTS = 10;

const PREFIX = 'blockrank.calibration';
/** x·xᵀ summed over the rows of tensor number `index`, [in, in] float32. */
export const gramOutput = (index: number) => `${PREFIX}.gram.${index}`;
/** [rows, in] of tensor number `index`, int64. */
export const rowsOutput = (index: number) => `${PREFIX}.rows.${index}`;

/** A tensor as it enters a product: after what brings the product's features to its last axis. */
export interface Observed {
  readonly tensor: string;
  readonly moves: readonly Move[];
}

/**
 * Bytes to put behind a model's own: a second `graph` field that holds only the taps' nodes and outputs. Protocol buffers
 * merge repeated occurrences of an embedded message, so every parser sees one graph with the taps at its end, and
 * nothing of the model is decoded or copied field by field.
 */
export function tapFields(tensors: readonly Observed[], opset: number): Uint8Array {
  const node = [...constants(opset), ...tensors.flatMap((observed, index) => tap(observed, index, opset))];
  const output = tensors.flatMap((_, index) => [
    value(gramOutput(index), DataType.FLOAT),
    value(rowsOutput(index), DataType.INT64),
  ]);
  return onnx.ModelProto.encode(onnx.ModelProto.fromObject({ graph: { node, output } })).finish();
}

/** Cast → Reshape [-1, last] → xᵀ·x; the length of the last axis is read off the tensor, whose rank may be unknown. */
function tap(observed: Observed, index: number, opset: number): Onnx.INodeProto[] {
  const part = (role: string) => `${PREFIX}.${role}.${index}`;
  const moved = observed.moves.map((move, i) =>
    applyMove(move, i === 0 ? observed.tensor : part(`moved${i - 1}`), part(`moved${i}`)),
  );
  const tensor = moved.length === 0 ? observed.tensor : part(`moved${moved.length - 1}`);
  const bounds = opset >= SLICE_INPUTS ? [shared('last'), shared('end')] : [];
  const slice = opset >= SLICE_INPUTS ? [] : [ints('starts', [-1]), ints('ends', [END])];
  return [
    ...moved.flat(),
    op('Cast', [tensor], part('x'), [{ name: 'to', type: AttributeType.INT, i: DataType.FLOAT }]),
    op('Shape', [tensor], part('shape')),
    op('Slice', [part('shape'), ...bounds], part('in'), slice),
    op('Concat', [shared('last'), part('in')], part('matrix'), [
      { name: 'axis', type: AttributeType.INT, i: 0 },
    ]),
    op('Reshape', [part('x'), part('matrix')], part('x2')),
    op('Transpose', [part('x2')], part('xt'), [ints('perm', [1, 0])]),
    op('MatMul', [part('xt'), part('x2')], gramOutput(index)),
    op('Shape', [part('x2')], rowsOutput(index)),
  ];
}

function applyMove(move: Move, from: string, to: string): Onnx.INodeProto[] {
  if ('transpose' in move) return [op('Transpose', [from], to, [ints('perm', [...move.transpose])])];
  return [constant(`${to}.shape`, ...move.reshape), op('Reshape', [from, `${to}.shape`], to)];
}

const END = 2 ** 31 - 1;
const shared = (role: string) => `${PREFIX}.${role}`;

/** −1 is both the start of the last axis and Reshape's "whatever is left". */
function constants(opset: number): Onnx.INodeProto[] {
  const last = constant(shared('last'), -1);
  return opset >= SLICE_INPUTS ? [last, constant(shared('end'), END)] : [last];
}

function constant(name: string, ...numbers: number[]): Onnx.INodeProto {
  const t = { dataType: DataType.INT64, dims: [numbers.length], int64Data: numbers };
  return op('Constant', [], name, [{ name: 'value', type: AttributeType.TENSOR, t }]);
}

function op(
  opType: string,
  input: string[],
  output: string,
  attribute: Onnx.IAttributeProto[] = [],
): Onnx.INodeProto {
  return { opType, name: output, input, output: [output], attribute };
}

function ints(name: string, values: number[]): Onnx.IAttributeProto {
  return { name, type: AttributeType.INTS, ints: values };
}

function value(name: string, elemType: number): Onnx.IValueInfoProto {
  return { name, type: { tensorType: { elemType } } };
}
