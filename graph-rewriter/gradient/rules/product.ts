// Matrix products.
import { CONTRIB_DOMAIN, float, int, string } from '../builder.js';
import { constantDims, type Rule, type Rules, type Step } from '../rule.js';

/** dA = g·Bᵀ, dB = Aᵀ·g; a vector operand is only recognised where it is constant. */
const matmul: Rule = (s) => {
  const { b, g, graph, node } = s;
  const [left, right] = node.inputs;
  if (constantDims(graph, right)?.length === 1)
    return [() => b.mul(b.op('Unsqueeze', [g, b.ints(-1)]), right)];
  return [
    () => b.reduceTo(b.matmul(g, right, false, true), left),
    () => b.reduceTo(b.matmul(left, g, true), right),
  ];
};

/** The same with a weight: nothing of A's shape can have been broadcast. */
const product: Rule = (s) => {
  const { b, g, graph, node } = s;
  if (constantDims(graph, node.inputs[1])?.length !== 2) return matmul(s);
  return [() => b.matmul(g, node.inputs[1], false, true)];
};

/** Y = α·A′·B′ + β·C, where ′ may transpose. */
const gemm: Rule = ({ b, g, node }) => {
  const [a, w, c] = node.inputs;
  const transA = node.int('transA', 0) !== 0;
  const transB = node.int('transB', 0) !== 0;
  const alpha = float('alpha', node.float('alpha', 1));
  const times = (left: string, right: string, onLeft: boolean, onRight: boolean) =>
    b.op('Gemm', [left, right], [alpha, int('transA', +onLeft), int('transB', +onRight)]);
  return [
    () => (transA ? times(w, g, transB, true) : times(g, w, false, !transB)),
    () => (transB ? times(g, a, true, transA) : times(a, g, !transA, false)),
    () => b.reduceTo(b.mul(g, b.scalar(node.float('beta', 1), g)), c),
  ];
};

/** α·A′·B′ over the last two axes; not where batches are transposed too. */
const fusedMatmul: Rule = (s) => {
  const { b, g, node } = s;
  const [a, w] = node.inputs;
  if (node.int('transBatchA', 0) !== 0 || node.int('transBatchB', 0) !== 0) return [];
  const [transA, transB] = [node.int('transA', 0) !== 0, node.int('transB', 0) !== 0];
  const alpha = float('alpha', node.float('alpha', 1));
  const times = (left: string, right: string, onLeft: boolean, onRight: boolean) =>
    b.op(
      'FusedMatMul',
      [left, right],
      [alpha, int('transA', +onLeft), int('transB', +onRight)],
      CONTRIB_DOMAIN,
    );
  return [
    () => b.reduceTo(transA ? times(w, g, transB, true) : times(g, w, false, !transB), a),
    () => b.reduceTo(transB ? times(g, a, true, transA) : times(a, g, !transA, false), w),
  ];
};

/** Of two operands with every index of an operand in the output or in the other one: dA is the sum with output and A exchanged. */
function einsum(s: Step): readonly ((() => string) | undefined)[] {
  const { b, g, node } = s;
  const equation = node.string('equation', '').replaceAll(' ', '');
  const [inputs, output] = equation.split('->');
  const terms = inputs.split(',');
  if (output === undefined || terms.length !== 2 || equation.includes('...')) return [];
  return terms.map((term, i) => {
    const other = terms[1 - i];
    const known = new Set(output + other);
    const isPlain = new Set(term).size === term.length && [...term].every((index) => known.has(index));
    if (!isPlain) return undefined;
    const operands = i === 0 ? [g, node.inputs[1]] : [node.inputs[0], g];
    const sides = i === 0 ? `${output},${other}` : `${other},${output}`;
    return () => b.op('Einsum', operands, [string('equation', `${sides}->${term}`)]);
  });
}

export const PRODUCT: Rules = { MatMul: product, Gemm: gemm, FusedMatMul: fusedMatmul, Einsum: einsum };
