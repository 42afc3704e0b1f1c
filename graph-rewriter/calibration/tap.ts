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
/** How many of the rows a mask keeps, float32; only with a mask. */
export const keptOutput = (index: number) => `${PREFIX}.kept.${index}`;

/** `Where` and `ConstantOfShape` exist from here on: below it, masks are not applied. */
const MASK_OPSET = 9;

export function canMask(opset: number): boolean {
  return opset >= MASK_OPSET;
}

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
export function tapFields(tensors: readonly Observed[], opset: number, mask?: string): Uint8Array {
  const node = [
    ...constants(opset),
    ...(mask === undefined ? [] : maskNodes(mask)),
    ...tensors.flatMap((observed, index) => tap(observed, index, opset, mask !== undefined)),
  ];
  const output = tensors.flatMap((_, index) => [
    value(gramOutput(index), DataType.FLOAT),
    value(rowsOutput(index), DataType.INT64),
    ...(mask === undefined ? [] : [value(keptOutput(index), DataType.FLOAT)]),
  ]);
  return onnx.ModelProto.encode(onnx.ModelProto.fromObject({ graph: { node, output } })).finish();
}

/** Cast → Reshape [-1, last] → xᵀ·x; the length of the last axis is read off the tensor, whose rank may be unknown. */
function tap(observed: Observed, index: number, opset: number, masked: boolean): Onnx.INodeProto[] {
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
    op('Reshape', [part('x'), part('matrix')], masked ? part('all') : part('x2')),
    ...(masked ? keepRows(part, index) : []),
    op('Transpose', [part('x2')], part('xt'), [ints('perm', [1, 0])]),
    op('MatMul', [part('xt'), part('x2')], gramOutput(index)),
    op('Shape', [part('x2')], rowsOutput(index)),
  ];
}

/** A column of the mask's numbers as booleans, and how many there are. */
function maskNodes(mask: string): Onnx.INodeProto[] {
  return [
    op('Cast', [mask], shared('mask.bool'), [{ name: 'to', type: AttributeType.INT, i: DataType.BOOL }]),
    constant(shared('column'), [-1, 1]),
    op('Reshape', [shared('mask.bool'), shared('column')], shared('mask')),
    op('Size', [mask], shared('mask.size')),
    constant(shared('first'), 0, []),
    constant(shared('one'), [1]),
    op('Constant', [], shared('zero'), [
      {
        name: 'value',
        type: AttributeType.TENSOR,
        t: { dataType: DataType.FLOAT, dims: [], floatData: [0] },
      },
    ]),
  ];
}

/** Zeros in place of the rows that the mask leaves out; all rows count where it has another number of them. */
function keepRows(part: (role: string) => string, index: number): Onnx.INodeProto[] {
  const branch = (name: string, output: string, node: Onnx.INodeProto[]): Onnx.IAttributeProto => ({
    name,
    type: AttributeType.GRAPH,
    g: { name: part(name), node, output: [value(output, DataType.BOOL)] },
  });
  const yes = { dataType: DataType.BOOL, dims: [1], int32Data: [1] };
  return [
    op('Shape', [part('all')], part('all.shape')),
    op('Gather', [part('all.shape'), shared('first')], part('all.rows')),
    op('Equal', [part('all.rows'), shared('mask.size')], part('fits')),
    op('If', [part('fits')], part('keep'), [
      branch('then_branch', part('masked'), [op('Identity', [shared('mask')], part('masked'))]),
      branch('else_branch', part('unmasked'), [
        op('Reshape', [part('all.rows'), shared('one')], part('count')),
        op('Concat', [part('count'), shared('one')], part('column'), [
          { name: 'axis', type: AttributeType.INT, i: 0 },
        ]),
        op('ConstantOfShape', [part('column')], part('unmasked'), [
          { name: 'value', type: AttributeType.TENSOR, t: yes },
        ]),
      ]),
    ]),
    op('Where', [part('keep'), part('all'), shared('zero')], part('x2')),
    op('Cast', [part('keep')], part('keep.float'), [
      { name: 'to', type: AttributeType.INT, i: DataType.FLOAT },
    ]),
    op('ReduceSum', [part('keep.float')], keptOutput(index), [
      { name: 'keepdims', type: AttributeType.INT, i: 0 },
    ]),
  ];
}

function applyMove(move: Move, from: string, to: string): Onnx.INodeProto[] {
  if ('transpose' in move) return [op('Transpose', [from], to, [ints('perm', [...move.transpose])])];
  return [constant(`${to}.shape`, [...move.reshape]), op('Reshape', [from, `${to}.shape`], to)];
}

const END = 2 ** 31 - 1;
const shared = (role: string) => `${PREFIX}.${role}`;

/** −1 is both the start of the last axis and Reshape's "whatever is left". */
function constants(opset: number): Onnx.INodeProto[] {
  const last = constant(shared('last'), -1);
  return opset >= SLICE_INPUTS ? [last, constant(shared('end'), END)] : [last];
}

function constant(name: string, numbers: number | number[], dims?: number[]): Onnx.INodeProto {
  const int64Data = [numbers].flat();
  const t = { dataType: DataType.INT64, dims: dims ?? [int64Data.length], int64Data };
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
