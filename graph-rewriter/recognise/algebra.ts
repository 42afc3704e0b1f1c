// Products and sums of forms. A product of two values of x is none: the form would not be linear.
import {
  type Axis,
  axisSize,
  type Form,
  type Index,
  indicesOf,
  isConstant,
  substitute,
  type Term,
} from './form.js';
import { refine } from './refine.js';
import { isKnown } from './size.js';

/** A label for each axis; axes of one label run over the same index. */
export type Labels = readonly (string | number)[];

/** Einsum of two values: axes that `result` does not name are summed over; an axis of size 1 is broadcast. */
export function contract(
  a: Form,
  labelsA: Labels,
  b: Form,
  labelsB: Labels,
  result: Labels,
): Form | undefined {
  if (!isConstant(a) && !isConstant(b)) return undefined;
  if (labelsA.length !== a.axes.length || labelsB.length !== b.axes.length) return undefined;
  const aligned = align(a, labelsA, b, labelsB);
  if (aligned === undefined) return undefined;
  const [left, right] = aligned;
  const axisOf = new Map<string | number, Axis>();
  for (const [labels, { axes }] of [
    [labelsA, left],
    [labelsB, right],
  ] as const)
    labels.forEach((label, i) => {
      if ((axisOf.get(label) ?? []).length === 0) axisOf.set(label, axes[i]);
    });
  const terms = left.terms.flatMap((s) => right.terms.map((t) => product(s, t)));
  const kept = new Set(result);
  const summed = [...axisOf].flatMap(([label, axis]) => (kept.has(label) ? [] : axis));
  return sumOver({ ...typeOf(a, b), axes: result.map((label) => axisOf.get(label) ?? []), terms }, summed);
}

/** Elementwise product with broadcasting. */
export function multiply(a: Form, b: Form): Form | undefined {
  const [labelsA, labelsB] = fromTheRight(a, b);
  return contract(a, labelsA, b, labelsB, labelsA.length > labelsB.length ? labelsA : labelsB);
}

/** Elementwise sum with broadcasting. */
export function add(a: Form, b: Form): Form | undefined {
  const [labelsA, labelsB] = fromTheRight(a, b);
  const aligned = align(a, labelsA, b, labelsB);
  if (aligned === undefined) return undefined;
  const [left, right] = aligned;
  const [long, short] = left.axes.length > right.axes.length ? [left, right] : [right, left];
  const shift = long.axes.length - short.axes.length;
  const axes = long.axes.map((axis, i) => (axis.length > 0 || i < shift ? axis : short.axes[i - shift]));
  return { ...typeOf(a, b), axes, terms: [...left.terms, ...right.terms] };
}

/** As MatMul multiplies: the last axis of a with the last but one of b, all before broadcast. */
export function matmul(a: Form, b: Form): Form | undefined {
  if (a.axes.length === 0 || b.axes.length === 0) return undefined;
  const label = (name: string, { axes }: Form) =>
    axes.length === 1
      ? ['k']
      : [...axes.slice(2).map((_, i) => axes.length - 3 - i), ...(name === 'a' ? ['m', 'k'] : ['k', 'n'])];
  const [labelsA, labelsB] = [label('a', a), label('b', b)];
  const batch = Math.max(a.axes.length, b.axes.length) - 2;
  const result = [
    ...Array.from({ length: Math.max(0, batch) }, (_, i) => batch - 1 - i),
    ...(a.axes.length > 1 ? ['m'] : []),
    ...(b.axes.length > 1 ? ['n'] : []),
  ];
  return contract(a, labelsA, b, labelsB, result);
}

/** Sums over whole axes. */
export function reduceSum(form: Form, axes: readonly number[], keepdims: boolean): Form | undefined {
  const gone = new Set(axes.map((axis) => (axis < 0 ? axis + form.axes.length : axis)));
  const summed = form.axes.flatMap((axis, i) => (gone.has(i) ? axis : []));
  const rest = form.axes.map((axis, i) => (gone.has(i) ? [] : axis));
  return sumOver({ ...form, axes: keepdims ? rest : rest.filter((_, i) => !gone.has(i)) }, summed);
}

/** Terms without an index are added up as often as the index runs. */
function sumOver(form: Form, summed: readonly Index[]): Form | undefined {
  const terms: Term[] = [];
  for (const term of form.terms) {
    const own = indicesOf(term);
    const size = axisSize(summed.filter((index) => !own.has(index)));
    if (!isKnown(size)) return undefined;
    terms.push({ ...term, coefficient: term.coefficient * size.n });
  }
  return { ...form, terms };
}

function product(s: Term, t: Term): Term {
  const input = s.input ?? t.input;
  return {
    coefficient: s.coefficient * t.coefficient,
    ...(input && { input }),
    factors: [...s.factors, ...t.factors],
  };
}

function typeOf(a: Form, b: Form): Pick<Form, 'type'> {
  const type = a.type ?? b.type;
  return type === undefined ? {} : { type };
}

/** Both forms over the same indices wherever their labels agree. */
function align(a: Form, labelsA: Labels, b: Form, labelsB: Labels): readonly [Form, Form] | undefined {
  let [left, right] = [a, b];
  for (const [i, label] of labelsA.entries()) {
    const j = labelsB.indexOf(label);
    if (j < 0 || left.axes[i].length === 0 || right.axes[j].length === 0) continue;
    const cut = refine(left.axes[i], right.axes[j]);
    if (cut === undefined) return undefined;
    left = substitute(left, cut.left);
    right = substitute(right, cut.right);
  }
  return [left, right];
}

function fromTheRight(a: Form, b: Form): readonly [number[], number[]] {
  const labels = ({ axes }: Form) => axes.map((_, i) => axes.length - 1 - i);
  return [labels(a), labels(b)];
}
