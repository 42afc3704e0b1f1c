// Leaves out the rows of a tapped tensor that a mask marks by zeros.
import type { onnx as Onnx } from 'onnx-proto';
import { constant, DataType, graph, int, op, shared, tensor, value, zero } from './protos.js';

/** `Where` and `ConstantOfShape` exist from here on: below it, masks are not applied. */
const MASK_OPSET = 9;

export function canMask(opset: number): boolean {
  return opset >= MASK_OPSET;
}

/** A column of the mask's numbers as booleans, and how many there are. */
export function maskNodes(mask: string): Onnx.INodeProto[] {
  return [
    op('Cast', [mask], shared('mask.bool'), [int('to', DataType.BOOL)]),
    constant(shared('column'), [-1, 1]),
    op('Reshape', [shared('mask.bool'), shared('column')], shared('mask')),
    op('Size', [mask], shared('mask.size')),
    constant(shared('one'), [1]),
    zero(shared('zero')),
  ];
}

/**
 * `part('all')` with zeros in place of the rows that the mask leaves out → `part('x2')`, and how many stay → `count`; all rows
 * stay where the mask has another number of them.
 */
export function keepRows(part: (role: string) => string, count: string): Onnx.INodeProto[] {
  const branch = (name: string, output: string, node: Onnx.INodeProto[]) =>
    graph(name, { name: part(name), node, output: [value(output, DataType.BOOL)] });
  const yes = { dataType: DataType.BOOL, dims: [1], int32Data: [1] };
  return [
    op('Shape', [part('all')], part('all.shape')),
    op('Gather', [part('all.shape'), shared('first')], part('all.rows')),
    op('Equal', [part('all.rows'), shared('mask.size')], part('fits')),
    op('If', [part('fits')], part('keep'), [
      branch('then_branch', part('masked'), [op('Identity', [shared('mask')], part('masked'))]),
      branch('else_branch', part('unmasked'), [
        op('Reshape', [part('all.rows'), shared('one')], part('rows')),
        op('Concat', [part('rows'), shared('one')], part('column'), [int('axis', 0)]),
        op('ConstantOfShape', [part('column')], part('unmasked'), [tensor('value', yes)]),
      ]),
    ]),
    op('Where', [part('keep'), part('all'), shared('zero')], part('x2')),
    op('Cast', [part('keep')], part('keep.int'), [int('to', DataType.INT64)]),
    op('ReduceSum', [part('keep.int')], count, [int('keepdims', 0)]),
  ];
}
