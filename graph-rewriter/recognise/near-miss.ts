// Why products that look like the first of a factorized layer are none.
import { formula } from '../rules/elementwise.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { ReasonCode } from '../types.js';
import type { Form } from './form.js';
import { PLUMBING } from './interpret.js';
import { findIn, type Region } from './region.js';
import { productOf } from './size.js';
import type { NearMiss } from './structure.js';

/** Undefined for a product that has nothing of a factorized layer. */
export function explain(graph: Graph, seed: Node, regions: readonly Region[]): NearMiss | undefined {
  const results = regions.map((region) => findIn(region, seed));
  const shared = results
    .flatMap(({ found }) => found)
    .find(({ readElsewhere }) => readElsewhere !== undefined);
  if (shared !== undefined) {
    const { name, reader } = shared.readElsewhere!;
    const what = `${shared.structure.spec.structure} of rank ${shared.structure.spec.rank}`;
    return miss(
      'factors-read-elsewhere',
      `It begins a ${what}, but '${name}' between its factors is also read by ${reader}.`,
    );
  }
  const region = regions[0];
  if (region === undefined) return isBlocked(graph, seed) ? unknownShape(seed) : undefined;
  const order = results.flatMap(({ misses }) => misses)[0];
  if (order !== undefined && hasBlocks(region)) return order;
  return hasBlocks(region) ? stopped(region) : interrupted(region, seed);
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

/** A product by a narrow matrix, then something that is not linear, then a product that makes it wide again. */
function interrupted(region: Region, seed: Node): NearMiss | undefined {
  const { graph, forms } = region;
  const middle = region.stops.find(
    (node) => formula(node) !== undefined && node.inputs.some((name) => isProduct(forms.get(name))),
  );
  const next = middle && graph.readers(middle.outputs[0]).find((node) => isMultiplication(node));
  const first = forms.get(seed.outputs[0]);
  if (middle === undefined || next === undefined || first === undefined) return undefined;
  const [inner, narrow, wide] = [widthOf(forms.get(region.input)), widthOf(first), outWidth(graph, next)];
  if (narrow * (inner + wide) >= inner * wide) return undefined;
  return miss(
    'factors-not-adjacent',
    `${seed.label} and ${next.label} have a middle of ${narrow}, but ${middle.label} between them is not linear.`,
  );
}

function outWidth(graph: Graph, node: Node): number {
  const dims = graph.definerOf(node.inputs[1]).initializers.get(node.inputs[1])?.dims;
  return dims?.length === 2 ? dims[node.is('Gemm') && node.int('transB', 0) !== 0 ? 0 : 1] : 0;
}

function widthOf(form: Form | undefined): number {
  return form ? productOf((form.axes.at(-1) ?? []).map(({ size }) => size)).n : 0;
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

function isBlocked(graph: Graph, seed: Node): boolean {
  return seed.inputs.some((name) => isBlockShaped(graph.definerOf(name).initializers.get(name)?.dims ?? []));
}

function unknownShape(seed: Node): NearMiss {
  return miss(
    'shape-not-declared',
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
