// What a node makes of values that are forms of x, and of constants.
import { scalar } from '../rules/elementwise.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { isFloatType } from '../floats.js';
import { dataTypeName, isStandardDomain } from '../schema.js';
import { add, matmul, multiply, reduceSum } from './algebra.js';
import { einsum } from './einsum.js';
import { axisSize, type Form, isConstant, newAxis, scaled } from './form.js';
import { reshape, squeeze, transpose, unsqueeze } from './plumbing.js';
import { shapeValues } from './shape-values.js';
import type { Shapes } from './shapes.js';
import { type Size, size } from './size.js';
import { castStored, findStored, type StoredTensor } from './stored.js';

/** Constants behind longer chains of nodes are not read. */
const MAX_STEPS = 8;

type Operator = (
  node: Node,
  operand: (input: number) => Form | undefined,
  context: Context,
) => Form | undefined;

interface Context {
  integers(name: string): readonly Size[] | undefined;
}

export class Interpreter implements Context {
  /** Values of x, by name. */
  readonly forms = new Map<string, Form>();

  constructor(
    private readonly graph: Graph,
    private readonly shapes: Shapes,
  ) {}

  /** The node's value; undefined where it is not linear in x, or not followed. */
  evaluate(node: Node): Form | undefined {
    return this.apply(node, (input) => this.operand(node.inputs[input] ?? ''));
  }

  integers(name: string): readonly Size[] | undefined {
    const dims = (value: string) => this.forms.get(value)?.axes.map(axisSize) ?? this.shapes.dims(value);
    return shapeValues(this.graph, name, dims);
  }

  /** A form of x, or a constant. */
  operand(name: string): Form | undefined {
    return this.forms.get(name) ?? this.constant(name);
  }

  constant(name: string, steps = 0): Form | undefined {
    if (name === '' || steps > MAX_STEPS) return undefined;
    const stored = findStored(this.graph, name);
    if (stored !== undefined) return isFloatType(stored.dtype) ? this.read(stored) : undefined;
    const number = scalar(this.graph, name);
    if (number !== undefined) return { axes: [], terms: [{ coefficient: number, factors: [] }] };
    const node = this.graph.producer(name);
    return node && this.apply(node, (input) => this.constant(node.inputs[input] ?? '', steps + 1));
  }

  /** One number is a coefficient; anything else is a factor with an index for each axis. */
  private read(stored: StoredTensor): Form {
    const axes = stored.tensor.dims.map((n) => newAxis(size(n)));
    const { count, dims } = stored.tensor;
    if (count !== 1) return { axes, terms: [{ coefficient: 1, factors: [{ tensor: stored, axes }] }] };
    const coefficient = stored.tensor.numbers()[0];
    return { axes: dims.map(() => []), terms: [{ coefficient, factors: [] }] };
  }

  private apply(node: Node, operand: (input: number) => Form | undefined): Form | undefined {
    if (!isFollowed(node)) return undefined;
    const first = operand(0);
    return first && OPERATORS[node.opType](node, (input) => (input === 0 ? first : operand(input)), this);
  }
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  Identity: (_, operand) => operand(0),
  Cast: (node, operand) => castForm(operand(0)!, node),
  Transpose: (node, operand) => transpose(operand(0)!, node.ints('perm')),
  Reshape: (node, operand, context) => {
    const target = context.integers(node.inputs[1] ?? '');
    return target && reshape(operand(0)!, target, node.int('allowzero', 0) !== 0);
  },
  Squeeze: (node, operand, context) => {
    const axes = axesOf(node, context);
    return axes === null ? undefined : squeeze(operand(0)!, axes);
  },
  Unsqueeze: (node, operand, context) => {
    const axes = axesOf(node, context);
    return axes ? unsqueeze(operand(0)!, axes) : undefined;
  },
  ReduceSum: (node, operand, context) => {
    const axes = axesOf(node, context);
    return axes && axes.length > 0 ? reduceSum(operand(0)!, axes, node.int('keepdims', 1) !== 0) : undefined;
  },
  MatMul: (_, operand) => both(operand, matmul),
  Mul: (_, operand) => both(operand, multiply),
  Add: (_, operand) => both(operand, add),
  Div: (_, operand) => {
    const by = operand(1) && numberOf(operand(1)!);
    return by ? scaled(operand(0)!, 1 / by) : undefined;
  },
  Gemm: gemm,
  Einsum: (node, operand) =>
    einsum(
      node.string('equation', ''),
      node.inputs.map((_, i) => operand(i)),
    ),
};

/** A node whose value may be linear in its input. */
export function isFollowed(node: Node): boolean {
  return isStandardDomain(node.domain) && Object.hasOwn(OPERATORS, node.opType);
}

/** Nodes of these move numbers and change none. */
export const PLUMBING: ReadonlySet<string> = new Set([
  'Identity',
  'Transpose',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
]);

function both(
  operand: (input: number) => Form | undefined,
  combine: (a: Form, b: Form) => Form | undefined,
): Form | undefined {
  const [a, b] = [operand(0), operand(1)];
  return a && b && combine(a, b);
}

/** alpha · A · B + beta · C */
function gemm(node: Node, operand: (input: number) => Form | undefined): Form | undefined {
  const [a, b] = [operand(0), operand(1)];
  const turned = (form: Form, name: string) => (node.int(name, 0) === 0 ? form : transpose(form, undefined));
  const [left, right] = [a && turned(a, 'transA'), b && turned(b, 'transB')];
  if (left?.axes.length !== 2 || right?.axes.length !== 2) return undefined;
  const product = matmul(left, right);
  const scaledProduct = product && scaled(product, node.float('alpha', 1));
  if (scaledProduct === undefined || !node.inputs[2]) return scaledProduct;
  const c = operand(2);
  return c && add(scaledProduct, scaled(c, node.float('beta', 1)));
}

/** Of a constant: which type its numbers have then. A value of x that is widened for a sum is narrowed again after it. */
function castForm(form: Form, node: Node): Form | undefined {
  const [term] = form.terms;
  const type = dataTypeName(node.int('to', 0));
  if (!isConstant(form)) return isFloatType(type) ? { ...form, type } : undefined;
  if (form.terms.length !== 1 || term.factors.length > 1) return undefined;
  if (term.factors.length === 0) return type === 'float32' ? form : undefined;
  const tensor = castStored(term.factors[0].tensor, node);
  return tensor && { ...form, terms: [{ ...term, factors: [{ ...term.factors[0], tensor }] }] };
}

function numberOf({ axes, terms }: Form): number | undefined {
  const isNumber =
    axes.flat().length === 0 && terms.length === 1 && terms[0].factors.length === 0 && !terms[0].input;
  return isNumber ? terms[0].coefficient : undefined;
}

/** An attribute before opset 13, an input since; undefined where neither is given, null where it is not constant. */
function axesOf(node: Node, context: Context): number[] | null | undefined {
  if ((node.inputs[1] ?? '') === '') return node.ints('axes');
  return context.integers(node.inputs[1])?.map(({ n }) => n) ?? null;
}
