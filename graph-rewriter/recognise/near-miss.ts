// Why products that look like the first of a factorized layer are none.
import { formula } from '../rules/elementwise.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { ReasonCode } from '../types.js';
import { soleReader } from '../rule.js';
import type { Seed } from './ahead.js';
import { count, type Form } from './form.js';
import { type Interpreter, PLUMBING } from './interpret.js';
import { findIn, type Region } from './region.js';
import type { NearMiss } from './structure.js';

/** Undefined for a product that has nothing of a factorized layer. */
export function explain(seed: Seed, regions: readonly Region[]): NearMiss | undefined {
  const results = regions.map((region) => findIn(region, seed.node));
  const found = results.flatMap((result) => result.found);
  const shared = found.find(({ readElsewhere }) => readElsewhere !== undefined);
  if (shared !== undefined) {
    const { name, reader } = shared.readElsewhere!;
    const what = `${shared.structure.spec.structure} of rank ${shared.structure.spec.rank}`;
    return miss(
      'factors-read-elsewhere',
      `It begins a ${what}, but '${name}' between its factors is also read by ${reader}.`,
    );
  }
  if (found.length > 0)
    return miss(
      'weight-type',
      `It begins a ${found[0].structure.spec.structure}, but its factors do not multiply in one of float32 and float16, or not exactly.`,
    );
  const region = regions[0];
  if (region === undefined) return seed.isBlocked ? unknownShape(seed.node) : undefined;
  const order = results.flatMap(({ misses }) => misses)[0];
  if (order !== undefined && hasBlocks(region)) return order;
  return hasBlocks(region) ? stopped(region) : undefined;
}

/** The first node that ends a chain of block products. */
function stopped(region: Region): NearMiss | undefined {
  const node = region.stops.find(({ inputs }) => inputs.some((name) => isProduct(region.forms.get(name))));
  if (node === undefined)
    return miss(
      'factors-unlike-operator',
      'Its products by blocks are no low-rank, BLAST or Monarch product.',
    );
  if (PLUMBING.has(node.opType))
    return miss(
      'factor-order',
      `${node.label} regroups its values in a way that no operator has, or to a size that is not known before the model runs.`,
    );
  if (isMultiplication(node))
    return miss('factor-not-constant', `${node.label} multiplies its values by a factor that is computed.`);
  return miss(
    'factors-not-adjacent',
    `${node.label} stands behind its first products, which is not linear; a factorized layer has only sums and products by constants.`,
  );
}

/** A product by a narrow matrix, then an activation, then a product that makes it wide again. */
export function interrupted(
  graph: Graph,
  { node: first }: Seed,
  constants: Interpreter,
): NearMiss | undefined {
  const inner = matrixSizes(first, constants);
  const middle = inner && activationBehind(graph, first, constants);
  const next =
    middle && graph.readers(middle.outputs[0]).find((node) => ['MatMul', 'Gemm'].includes(node.opType));
  const outer = next && next.inputs[0] === middle.outputs[0] ? matrixSizes(next, constants) : undefined;
  if (outer === undefined || middle === undefined || next === undefined) return undefined;
  const [[width, narrow], [, wide]] = [inner!, outer];
  if (narrow * (width + wide) >= width * wide) return undefined;
  return miss(
    'factors-not-adjacent',
    `${first.label} and ${next.label} have a middle of ${narrow}, but ${middle.label} between them is not linear.`,
  );
}

/** The one elementwise node that reads the product, or the product with a bias. */
function activationBehind(graph: Graph, product: Node, constants: Interpreter): Node | undefined {
  let reader = soleReader(graph, product.outputs[0]);
  if (reader?.is('Add') && reader.inputs.some((name) => constants.constant(name)))
    reader = soleReader(graph, reader.outputs[0]);
  return reader !== undefined && reader.inputs.length === 1 && formula(reader) !== undefined
    ? reader
    : undefined;
}

/** [in, out] of a product by a matrix on the right. */
function matrixSizes(node: Node, constants: Interpreter): readonly [number, number] | undefined {
  const [rows, columns, more] = constants.constant(node.inputs[1] ?? '')?.axes ?? [];
  if (rows === undefined || columns === undefined || more !== undefined) return undefined;
  return node.is('Gemm') && node.int('transB', 0) !== 0
    ? [count(columns), count(rows)]
    : [count(rows), count(columns)];
}

/** Has a factor with more axes than a matrix. */
function hasBlocks({ forms }: Region): boolean {
  return [...forms.values()].some(({ terms }) =>
    terms.some(
      ({ input, factors }) => input && factors.some(({ tensor }) => isBlockShaped(tensor.tensor.dims)),
    ),
  );
}

function isBlockShaped(dims: readonly number[]): boolean {
  return dims.filter((dim) => dim !== 1).length > 2;
}

function unknownShape(seed: Node): NearMiss {
  return miss(
    'shape-unknown',
    `${seed.label} multiplies by blocks, but the model does not say what shape '${seed.inputs[0]}' has. Run shape inference.`,
  );
}

function isProduct(form: Form | undefined): boolean {
  return form?.terms.some(({ input, factors }) => input !== undefined && factors.length > 0) ?? false;
}

function isMultiplication(node: Node): boolean {
  return ['MatMul', 'Gemm', 'Einsum', 'Mul'].includes(node.opType);
}

function miss(code: ReasonCode, message: string): NearMiss {
  return { code, message };
}
