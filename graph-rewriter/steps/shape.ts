// Nodes that move no number or swap the two axes of a matrix.
import type { Node } from '../node.js';
import type { Tensor } from '../tensor.js';
import type { Step, View } from './view.js';

/** Swaps two axes at most, whatever axes of size 1 do; other permutations of stored numbers are not read. */
export const transpose: Step = (node, view) => {
  const { dims } = view;
  const perm = node.ints('perm') ?? dims.map((_, i) => dims.length - 1 - i);
  if (perm.length !== dims.length || new Set(perm).size !== perm.length) return undefined;
  if (perm.some((axis) => axis < 0 || axis >= dims.length)) return undefined;
  const order = perm.filter((axis) => dims[axis] !== 1);
  const isSwap = order.some((axis, i) => i > 0 && axis < order[i - 1]);
  if (isSwap && order.length > 2) return undefined;
  return { ...view, dims: perm.map((axis) => dims[axis]), transposed: view.transposed !== isSwap };
};

export const reshape: Step = (node, view, parameter) => {
  const target = parameter(1);
  if (target?.dtype !== 'int64') return undefined;
  const keepsZeros = node.int('allowzero', 0) !== 0;
  const dims = target.integers().map((dim, i) => (dim === 0 && !keepsZeros ? (view.dims[i] ?? 0) : dim));
  const known = dims.filter((dim) => dim !== -1);
  if (dims.length - known.length > 1) return undefined;
  return withDims(
    view,
    dims.map((dim) => (dim === -1 ? count(view.dims) / count(known) : dim)),
  );
};

export const squeeze: Step = (node, view, parameter) => {
  const { dims } = view;
  const axes = axesOf(node, parameter);
  if (axes === null) return undefined;
  const gone = axes?.map((axis) => (axis < 0 ? axis + dims.length : axis));
  return withDims(
    view,
    dims.filter((dim, i) => (gone === undefined ? dim !== 1 : !gone.includes(i))),
  );
};

export const unsqueeze: Step = (node, view, parameter) => {
  const axes = axesOf(node, parameter);
  if (axes === null || axes === undefined) return undefined;
  const rank = view.dims.length + axes.length;
  const added = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  const rest = [...view.dims];
  const dims = Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : rest.shift()));
  return dims.includes(undefined) ? undefined : withDims(view, dims as number[]);
};

/** An attribute before opset 13, an input since; undefined where neither is given, null where it is not constant. */
function axesOf(node: Node, parameter: (input: number) => Tensor | undefined): number[] | null | undefined {
  if ((node.inputs[1] ?? '') === '') return node.ints('axes');
  const axes = parameter(1);
  return axes?.dtype === 'int64' ? axes.integers() : null;
}

/** The same numbers in the same order; a transposed view may only gain and lose axes of size 1. */
function withDims(view: View, dims: readonly number[]): View | undefined {
  if (dims.some((dim) => !Number.isInteger(dim) || dim < 0) || count(dims) !== count(view.dims))
    return undefined;
  const wide = (all: readonly number[]) => all.filter((dim) => dim !== 1).join();
  return view.transposed && wide(dims) !== wide(view.dims) ? undefined : { ...view, dims };
}

function count(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}
