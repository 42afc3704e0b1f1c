// Nodes that move numbers and change none: Reshape, Transpose, Squeeze, Unsqueeze.
import { type Axis, axisSize, type Form, newAxis, substitute } from './form.js';
import { refine } from './refine.js';
import { isSame, ONE, productOf, quotient, type Size } from './size.js';

export function transpose(form: Form, perm: readonly number[] | undefined): Form | undefined {
  const rank = form.axes.length;
  const order = perm ?? form.axes.map((_, i) => rank - 1 - i);
  const isPermutation = order.length === rank && form.axes.every((_, i) => order.includes(i));
  return isPermutation ? { ...form, axes: order.map((axis) => form.axes[axis]) } : undefined;
}

/** `target` as in the operator: −1 is what is left, 0 the input's own size unless `allowzero`. */
export function reshape(form: Form, target: readonly Size[], allowzero: boolean): Form | undefined {
  const sizes = resolve(form.axes.map(axisSize), target, allowzero);
  if (sizes === undefined) return undefined;
  const wanted = sizes.map(newAxis);
  const cut = refine(form.axes.flat(), wanted.flat());
  if (cut === undefined) return undefined;
  const axes = wanted.map((axis) => axis.flatMap((index) => cut.right.get(index) ?? [index]));
  return { ...substitute(form, cut.left), axes };
}

function resolve(own: readonly Size[], target: readonly Size[], allowzero: boolean): Size[] | undefined {
  const isRest = ({ n }: Size) => n === -1;
  const sizes: (Size | undefined)[] = target.map((size, i) =>
    size.n !== 0 ? size : allowzero ? undefined : own[i],
  );
  if (sizes.includes(undefined) || target.some(({ n }) => n < -1)) return undefined;
  if (target.filter(isRest).length > 1) return undefined;
  const known = productOf((sizes as Size[]).filter((size) => !isRest(size)));
  const rest = quotient(productOf(own), known);
  return rest && (sizes as Size[]).map((size) => (isRest(size) ? rest : size));
}

/** Without axes given, all of size 1 go. */
export function squeeze(form: Form, axes: readonly number[] | undefined): Form | undefined {
  const gone = axes?.map((axis) => (axis < 0 ? axis + form.axes.length : axis));
  const isGone = (axis: Axis, i: number) => (gone === undefined ? axis.length === 0 : gone.includes(i));
  const isRight = form.axes.every((axis, i) => !isGone(axis, i) || isSame(axisSize(axis), ONE));
  return isRight ? { ...form, axes: form.axes.filter((axis, i) => !isGone(axis, i)) } : undefined;
}

export function unsqueeze(form: Form, axes: readonly number[]): Form {
  const rank = form.axes.length + axes.length;
  const added = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  const rest = [...form.axes];
  return {
    ...form,
    axes: Array.from({ length: rank }, (_, i) => (added.has(i) ? [] : (rest.shift() ?? []))),
  };
}
