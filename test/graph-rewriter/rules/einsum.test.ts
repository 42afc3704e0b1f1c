import { expect } from 'chai';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { IN, layerModel, OUT, rewriteAndRun, W } from '../helpers/layer-model.js';
import { encodeModel, node, readModel, tensor, valueInfo } from '../helpers/onnx.js';
import { random } from '../helpers/reference.js';
import { save } from '../helpers/workspace.js';

// IN = 24 = 4 · 6, OUT = 36 = 3 · 12
const SIZES: Record<string, number> = { b: 2, t: 5, q: 7, d: IN, e: OUT, h: 3, k: 12, m: 4, n: 6 };
const DIMS = (labels: string) => [...labels].map((label) => SIZES[label]);

/** W [out, in] with its axes in the order of `labels`; `made` and `summed` name the parts of out and in. */
function weightFor(labels: string, made: string, summed: string): Float32Array {
  const order = [...made, ...summed];
  const sizes = DIMS(labels);
  return Float32Array.from({ length: IN * OUT }, (_, at) => {
    const index: Record<string, number> = {};
    let rest = at;
    for (let i = labels.length - 1; i >= 0; i--) {
      index[labels[i]] = rest % sizes[i];
      rest = Math.floor(rest / sizes[i]);
    }
    return W.outIn[order.reduce((flat, label) => flat * SIZES[label] + index[label], 0)];
  });
}

interface Form {
  readonly equation: string;
  readonly x: string;
  readonly w: string;
  readonly y: string;
  readonly made: string;
  readonly summed: string;
  readonly ops: readonly string[];
  readonly left?: boolean;
}

function form(equation: string, made: string, summed: string, ops: readonly string[], left = false): Form {
  const [terms, y] = equation.replaceAll('...', 'bt').split('->');
  const [first, second] = terms.split(',');
  const [x, w] = left ? [second, first] : [first, second];
  return { equation, x, w, y: y || 'bte', made, summed, ops, left };
}

const FORMS = [
  form('btd,de->bte', 'e', 'd', ['X']),
  form('btd,ed->bte', 'e', 'd', ['X']),
  form('...d,de->...e', 'e', 'd', ['X']),
  form('de,btd->bte', 'e', 'd', ['X'], true),
  form('btd,dhk->bthk', 'hk', 'd', ['X', 'Reshape']),
  form('btd,hdk->bthk', 'hk', 'd', ['X', 'Reshape']),
  form('btd,hdk->bhtk', 'hk', 'd', ['X', 'Reshape', 'Transpose']),
  form('btmn,mne->bte', 'e', 'mn', ['Reshape', 'X']),
  form('bmtn,mne->bte', 'e', 'mn', ['Transpose', 'Reshape', 'X']),
  form('btmn,mhnk->bthk', 'hk', 'mn', ['Reshape', 'X', 'Reshape']),
  form('bdt,ed->bet', 'e', 'd', ['Transpose', 'X', 'Transpose']),
  form('td,de->te', 'e', 'd', ['X']),
  form('d,de->e', 'e', 'd', ['X']),
  form('b t d , d e -> b t e', 'e', 'd', ['X']),
];

function einsumModel({ equation, x, w, y, left }: Form, parts: { weight: Float32Array; bias?: number[] }) {
  const inputs = left ? ['w', 'x'] : ['x', 'w'];
  const isBiased = parts.bias !== undefined;
  return encodeModel({
    nodes: [
      node('Einsum', inputs, [isBiased ? 'v' : 'y'], { equation }, { name: 'fc' }),
      ...(isBiased ? [node('Add', ['v', 'b'], ['y'])] : []),
    ],
    inputs: [
      valueInfo(
        'x',
        [...x.replaceAll(' ', '')].map((l) => ('btq'.includes(l) ? l : SIZES[l])),
      ),
    ],
    outputs: [
      valueInfo(
        'y',
        [...y.replaceAll(' ', '')].map((l) => ('btq'.includes(l) ? l : SIZES[l])),
      ),
    ],
    initializers: [
      tensor('w', DIMS(w.replaceAll(' ', '')), parts.weight),
      ...(parts.bias
        ? [
            tensor(
              'b',
              parts.bias,
              random(
                parts.bias.reduce((a, b) => a * b, 1),
                3,
              ),
            ),
          ]
        : []),
    ],
  });
}

async function check(form: Form, bias?: number[]) {
  const labels = { x: form.x.replaceAll(' ', ''), w: form.w.replaceAll(' ', '') };
  const weight = weightFor(labels.w, form.made, form.summed);
  const source = save(einsumModel(form, { weight, ...(bias && { bias }) }));
  const dims = DIMS(labels.x);
  const feeds = {
    x: {
      dims,
      data: random(
        dims.reduce((a, b) => a * b, 1),
        9,
      ),
    },
  };
  const { target, results } = await rewriteAndRun(source, feeds, { w: W }, { tolerance: 4e-6 });
  const ops = readModel(target)
    .graph!.node!.map((n) => n.opType)
    .filter((op) => op !== 'Constant');
  return { results, ops };
}

async function reasonOf(
  equation: string,
  inputs: readonly string[],
  dims: readonly number[],
  xDims?: readonly (number | string)[],
) {
  const model = layerModel({
    nodes: [node('Relu', ['x'], ['r']), node('Einsum', inputs, ['y'], { equation }, { name: 'fc' })],
    initializers: [
      tensor(
        'w',
        dims,
        random(
          dims.reduce((a, b) => a * b, 1),
          2,
        ),
      ),
    ],
    ...(xDims && { valueInfo: [valueInfo('r', xDims)] }),
  });
  const { layers } = await inspectModel(save(model));
  return layers[0].reason;
}

describe('einsumRule', () => {
  for (const f of FORMS)
    it(`replaces ${f.equation}`, async () => {
      const { results, ops } = await check(f);
      expect(results[0].layer.shape).to.deep.equal({ in: IN, out: OUT });
      expect(ops).to.deep.equal(f.ops.map((op) => (op === 'X' ? 'BlastMatMul' : op)));
    });

  for (const [equation, made, bias] of [
    ['btd,dhk->bthk', 'hk', [3, 12]],
    ['btd,dhk->bhtk', 'hk', [3, 1, 12]],
    ['bdt,ed->bet', 'e', [1, OUT, 1]],
    ['btd,de->bte', 'e', [1]],
  ] as const)
    it(`takes in a bias of [${bias.join(', ')}] after ${equation}`, async () => {
      const { results } = await check(form(equation, made, 'd', []), [...bias]);
      expect(results[0].layer.bias).to.equal(true);
    });

  it('leaves out an Add along another axis', async () => {
    const { results } = await check(form('bdt,ed->bet', 'e', 'd', []), [OUT, 1]);
    expect(results[0].layer.bias).to.equal(true);
    const wide = form('btd,dhk->bthk', 'hk', 'd', []);
    const source = save(einsumModel(wide, { weight: weightFor('dhk', 'hk', 'd'), bias: [3, 1, 12] }));
    const [layer] = (await inspectModel(source)).layers;
    expect(layer.bias).to.equal(false);
  });

  it('reads an equation without an arrow', async () => {
    // In alphabetical order: b, t, z.
    const model = layerModel({
      nodes: [node('Einsum', ['x', 'w'], ['y'], { equation: 'btd,dz' })],
      initializers: [tensor('w', [IN, OUT], W.inOut)],
      inputs: [valueInfo('x', ['b', 't', IN])],
    });
    const feeds = { x: { dims: [2, 5, IN], data: random(10 * IN, 1) } };
    const { results } = await rewriteAndRun(save(model), feeds, { w: W });
    expect(results[0].result?.op).to.equal('BlastMatMul');
  });

  it('takes empty axes', async () => {
    const f = form('bmtn,mne->bte', 'e', 'mn', []);
    const source = save(einsumModel(f, { weight: weightFor('mne', 'e', 'mn') }));
    const feeds = { x: { dims: [2, 4, 0, 6], data: new Float32Array(0) } };
    await rewriteAndRun(source, feeds, { w: W });
  });

  const refused: readonly [string, readonly string[], readonly number[], string, RegExp][] = [
    ['btd,bde->bte', ['r', 'w'], [2, 4, 6], 'not-a-matrix-product', /axis b is shared/],
    ['btd,de->bt', ['r', 'w'], [4, 6], 'not-a-matrix-product', /sums the weight over axis e/],
    ['btd,de->be', ['r', 'w'], [4, 6], 'not-a-matrix-product', /sums its input over axis t/],
    ['btd,e->btde', ['r', 'w'], [6], 'not-a-matrix-product', /nothing is summed/],
    ['btd,d->bt', ['r', 'w'], [4], 'not-a-matrix-product', /the weight adds no axis/],
    ['bdd,de->be', ['r', 'w'], [4, 6], 'not-a-matrix-product', /named twice/],
    ['btd,de,ef->btf', ['r', 'w', 'w'], [4, 4], 'not-a-matrix-product', /not a product of two operands/],
    ['btd,def->btf', ['r', 'w'], [4, 6], 'not-a-matrix-product', /other axes than its operands/],
    ['...d,dhk->...hk', ['r', 'w'], [4, 2, 3], 'shape-unknown', /declares no shape of 'r'/],
    ['btd,bsd->bts', ['r', 'x'], [4], 'weight-not-constant', /'x' is an input/],
  ];
  for (const [equation, inputs, dims, code, words] of refused)
    it(`leaves ${equation} dense`, async () => {
      const reason = await reasonOf(equation, inputs, dims);
      expect(reason?.code).to.equal(code);
      expect(reason?.message).to.match(words);
    });

  it('leaves an axis of size 1 that is spread over the weight dense', async () => {
    const reason = await reasonOf('btd,de->bte', ['r', 'w'], [4, 6], ['b', 't', 1]);
    expect(reason?.code).to.equal('not-a-matrix-product');
    expect(reason?.message).to.match(/spreads axis d/);
  });

  it('does not list an Einsum of one operand', async () => {
    const nodes = [node('Einsum', ['x'], ['y'], { equation: 'btd->bdt' })];
    expect((await inspectModel(save(layerModel({ nodes })))).layers).to.deep.equal([]);
  });
});
