// The undamaged models that the fuzzer starts from: exports kept in corpus/, and models built here for what those lack.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyPlan } from '../../graph-rewriter/apply.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { planRewrite } from '../../graph-rewriter/plan.js';
import type { PlanOptions } from '../../graph-rewriter/types.js';
import { packageRoot } from '../../src/loader/locate.js';
import { anyFactors } from '../graph-rewriter/helpers/any.js';
import { constant, encodeModel, int64s, node, tensor, valueInfo } from '../graph-rewriter/helpers/onnx.js';
import { random } from '../graph-rewriter/helpers/reference.js';
import { withUnknownFields } from '../graph-rewriter/helpers/unknown-fields.js';
import { type Field, parseTree } from './wire-tree.js';

export interface Seed {
  readonly name: string;
  /** What the damaged file is given to. */
  readonly direction: 'rewrite' | 'densify';
  readonly tree: Field[];
}

/** Of a product that is found in the corpus: small enough for every layer, and of several blocks. */
export const PLANS: readonly PlanOptions[] = [
  { structure: 'low-rank', rank: 2, minSize: 1 },
  { structure: 'blast', rank: 2, blocks: 2, minSize: 1 },
  { structure: 'monarch', rank: 1, blocks: 2, minSize: 1 },
  { structure: 'blast', rank: 1, blocks: [3, 5], minSize: 1, factorType: 'float16' },
];

/** `folder` is for rewriting what `densify` starts from; `exports` are further folders of models. */
export async function loadCorpus(folder: string, exports: readonly string[] = []): Promise<Seed[]> {
  const models = new Map<string, Uint8Array>([['forms', forms()]]);
  for (const from of [join(packageRoot(), 'test', 'fuzz', 'corpus'), ...exports])
    for (const file of readdirSync(from)
      .filter((name) => name.endsWith('.onnx'))
      .sort())
      models.set(file, Uint8Array.from(readFileSync(join(from, file))));
  const seeds: Seed[] = [];
  for (const [name, bytes] of models) {
    seeds.push({ name, direction: 'rewrite', tree: parseTree(bytes) });
    const [source, target] = [join(folder, 'seed.onnx'), join(folder, 'seed-rewritten.onnx')];
    writeFileSync(source, bytes);
    const plan = planRewrite(await inspectModel(source), PLANS[seeds.length % 3]);
    await applyPlan(source, target, plan, { factorize: anyFactors });
    seeds.push({
      name: `${name} rewritten`,
      direction: 'densify',
      tree: parseTree(Uint8Array.from(readFileSync(target))),
    });
  }
  return seeds;
}

const [IN, OUT] = [12, 20];

/** [IN, OUT] of rank 2, so that a low-rank rewrite of it is exact. */
function weight(seed: number): Float32Array {
  const [u, v] = [random(2 * IN, seed), random(2 * OUT, seed + 1)];
  return Float32Array.from({ length: IN * OUT }, (_, at) => {
    const [i, o] = [Math.floor(at / OUT), at % OUT];
    return u[2 * i] * v[2 * o] + u[2 * i + 1] * v[2 * o + 1];
  });
}

/** Weights as initializer, Constant, through steps and in the bodies of an If; Gemm, bias, SiLU; fields that ONNX will have. */
function forms(): Uint8Array {
  const body = {
    name: 'b',
    node: [node('MatMul', ['x', 'inner'], ['t'])],
    output: [valueInfo('t', ['n', OUT])],
  };
  return withUnknownFields(
    encodeModel({
      inputs: [valueInfo('x', ['n', IN])],
      outputs: [valueInfo('y', ['n', OUT])],
      nodes: [
        constant('cond', { name: '', dims: [], dataType: 9, rawData: Uint8Array.of(1) }),
        constant('inner', tensor('', [IN, OUT], weight(2))),
        node('Gemm', ['x', 'w', 'b'], ['v'], { transB: 0 }, { name: 'fc', floats: { alpha: 2 } }),
        node('Sigmoid', ['v'], ['s']),
        node('Mul', ['v', 's'], ['a']),
        node('Reshape', ['flat', 'shape'], ['square']),
        node('Cast', ['square'], ['wide'], { to: 1 }),
        node('MatMul', ['a', 'wide'], ['c'], {}, { name: 'steps' }),
        node('If', ['cond'], ['i'], { then_branch: body, else_branch: body }),
        node('Add', ['c', 'i'], ['y']),
      ],
      initializers: [
        tensor('b', [OUT], random(OUT, 3)),
        tensor('w', [IN, OUT], weight(4)),
        tensor('flat', [OUT * OUT], random(OUT * OUT, 6), 'float16'),
        int64s('shape', [OUT, OUT]),
      ],
    }),
  );
}
