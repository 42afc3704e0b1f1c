// What a tap computes of a tensor: the sum of x·xᵀ over its rows, and their number.
import type { onnx as Onnx } from 'onnx-proto';
import type { Move } from '../moves.js';
import { keepRows, maskNodes } from './mask-nodes.js';
import { constant, DataType, int, ints, op, PREFIX, shared } from './protos.js';

/** `Slice` takes its bounds as inputs from here on. */
const SLICE_INPUTS = 10;

/** A tensor as it enters a product: after what brings the product's features to its last axis. */
export interface Observed {
  readonly tensor: string;
  readonly moves: readonly Move[];
}

/** Names of two values: Σ x·xᵀ, [in, in] float32, and the rows that it is the sum of, int64 []. */
export interface Sums {
  readonly gram: string;
  readonly count: string;
}

/** As tap number `index` has them `level` bodies deep; at level 0 they are outputs of the model. */
export function sumsOf(index: number, level = 0): Sums {
  const suffix = level === 0 ? `${index}` : `${index}.${level}`;
  return { gram: `${PREFIX}.gram.${suffix}`, count: `${PREFIX}.count.${suffix}` };
}

export const namesOf = ({ gram, count }: Sums): string[] => [gram, count];

/** What all taps read; −1 is both the start of the last axis and Reshape's "whatever is left". */
export function sharedNodes(opset: number, mask: string | undefined): Onnx.INodeProto[] {
  return [
    constant(shared('last'), [-1]),
    ...(opset >= SLICE_INPUTS ? [constant(shared('end'), [END])] : []),
    constant(shared('first'), 0),
    ...(mask === undefined ? [] : maskNodes(mask)),
  ];
}

/** Cast → Reshape [-1, last] → xᵀ·x; the length of the last axis is read off the tensor, whose rank may be unknown. */
export function tapNodes(
  observed: Observed,
  index: number,
  { gram, count }: Sums,
  opset: number,
  masked: boolean,
): Onnx.INodeProto[] {
  const part = (role: string) => `${PREFIX}.${role}.${index}`;
  const moved = observed.moves.map((move, i) =>
    applyMove(move, i === 0 ? observed.tensor : part(`moved${i - 1}`), part(`moved${i}`)),
  );
  const tensor = moved.length === 0 ? observed.tensor : part(`moved${moved.length - 1}`);
  const bounds = opset >= SLICE_INPUTS ? [shared('last'), shared('end')] : [];
  const slice = opset >= SLICE_INPUTS ? [] : [ints('starts', [-1]), ints('ends', [END])];
  return [
    ...moved.flat(),
    op('Cast', [tensor], part('x'), [int('to', DataType.FLOAT)]),
    op('Shape', [tensor], part('shape')),
    op('Slice', [part('shape'), ...bounds], part('in'), slice),
    op('Concat', [shared('last'), part('in')], part('matrix'), [int('axis', 0)]),
    op('Reshape', [part('x'), part('matrix')], masked ? part('all') : part('x2')),
    ...(masked ? keepRows(part, count) : countRows(part, count)),
    op('Transpose', [part('x2')], part('xt'), [ints('perm', [1, 0])]),
    op('MatMul', [part('xt'), part('x2')], gram),
  ];
}

function countRows(part: (role: string) => string, count: string): Onnx.INodeProto[] {
  return [
    op('Shape', [part('x2')], part('size')),
    op('Gather', [part('size'), shared('first')], count, [int('axis', 0)]),
  ];
}

function applyMove(move: Move, from: string, to: string): Onnx.INodeProto[] {
  if ('transpose' in move) return [op('Transpose', [from], to, [ints('perm', move.transpose)])];
  return [constant(`${to}.shape`, move.reshape), op('Reshape', [from, `${to}.shape`], to)];
}

const END = 2 ** 31 - 1;
