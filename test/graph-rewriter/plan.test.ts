import { expect } from 'chai';
import { formatPlan, parsePlan, planRewrite } from '../../graph-rewriter/plan.js';
import {
  FACTOR_TYPES,
  type LayerInfo,
  type LayerPlan,
  type ModelInfo,
  type PlanOptions,
  type RewritePlan,
} from '../../graph-rewriter/types.js';
import { expectError } from './helpers/errors.js';

function layer(id: string, shape: [number, number] | null, more: Partial<LayerInfo> = {}): LayerInfo {
  return {
    id,
    node: id,
    op: 'MatMul',
    weight: `${id}.weight`,
    shape: shape && { in: shape[0], out: shape[1] },
    dtype: 'float32',
    location: 'initializer',
    bytes: shape ? 4 * shape[0] * shape[1] : 0,
    weightKey: `${id}.weight`,
    input: 'x',
    bias: false,
    activation: 'none',
    fused: [],
    ...more,
  };
}

function model(layers: LayerInfo[], opset = 17): ModelInfo {
  return { path: 'm.onnx', sha256: 'a'.repeat(64), irVersion: 8, opset, producer: '', bytes: 0, layers };
}

function planOne(
  shape: [number, number],
  options: PlanOptions = {},
  opset = 17,
  more: Partial<LayerInfo> = {},
): LayerPlan {
  return planRewrite(model([layer('fc', shape, more)], opset), { minSize: 1, ...options }).layers[0];
}

function specOf(plan: LayerPlan) {
  expect(plan).to.have.property('spec');
  return 'spec' in plan ? plan.spec : undefined!;
}

function reasonOf(plan: LayerPlan) {
  expect(plan).to.have.property('keep');
  return 'keep' in plan ? plan.keep : undefined!;
}

describe('planRewrite', () => {
  it('takes the largest rank whose factors fit the bytes kept', () => {
    for (const keep of [0.1, 0.33, 0.5, 0.9])
      for (const [inputs, out] of [
        [768, 3072],
        [120, 360],
        [101, 103],
        [2048, 2048],
      ] as [number, number][]) {
        const low = specOf(planOne([inputs, out], { structure: 'low-rank', keep }));
        const budget = keep * inputs * out;
        expect(low.rank * (inputs + out)).to.be.at.most(budget);
        expect((low.rank + 1) * (inputs + out)).to.be.greaterThan(budget);
        const blast = specOf(planOne([inputs, out], { structure: 'blast', keep }));
        const eachBlast = inputs + out + blast.blocksIn * blast.blocksOut;
        expect(blast.rank * eachBlast).to.be.at.most(budget);
        expect((blast.rank + 1) * eachBlast).to.be.greaterThan(budget);
        const monarch = specOf(planOne([inputs, out], { structure: 'monarch', keep }));
        const eachMonarch = inputs * monarch.blocksOut + out * monarch.blocksIn;
        expect(monarch.rank * eachMonarch).to.be.at.most(budget);
        expect((monarch.rank + 1) * eachMonarch).to.be.greaterThan(budget);
      }
  });

  it('keeps half by default, as BLAST', () => {
    expect(specOf(planOne([768, 768]))).to.deep.equal({
      structure: 'blast',
      blocksIn: 4,
      blocksOut: 4,
      rank: Math.floor((768 * 768) / 2 / (768 + 768 + 16)),
    });
  });

  it('cuts wide layers into 16 blocks, others into 4, or what divides near that', () => {
    const blocks = (shape: [number, number], opset?: number) => {
      const { blocksIn, blocksOut } = specOf(planOne(shape, { keep: 0.9 }, opset));
      return [blocksIn, blocksOut];
    };
    expect(blocks([2048, 8192])).to.deep.equal([16, 16]);
    expect(blocks([4096, 11008])).to.deep.equal([16, 16]);
    expect(blocks([768, 768])).to.deep.equal([4, 4]);
    expect(blocks([120, 6625])).to.deep.equal([15, 25]);
    expect(blocks([120, 6625], 9)).to.deep.equal([15, 25]);
    expect(blocks([101, 768])).to.deep.equal([4, 4]);
    expect(blocks([101, 768], 9)).to.deep.equal([1, 4]);
  });

  it('keeps half of the numbers, not of the bytes, where no share is given', () => {
    for (const factorType of FACTOR_TYPES)
      expect(specOf(planOne([256, 256], { structure: 'low-rank', factorType })).rank).to.equal(64);
  });

  it('counts the scales of int8 factors', () => {
    // Low rank: 200·r + 100·r + 2·r + 2·100 of 80000 bytes. BLAST: + 2·16·r for S, 2·4·r for VScale. Monarch: 2·16·r, 2·4·100.
    const rank = (structure: 'blast' | 'monarch' | 'low-rank', keep: number) =>
      specOf(planOne([200, 100], { structure, keep, factorType: 'int8', blocks: 4 })).rank;
    expect(rank('low-rank', 0.1)).to.equal(Math.floor((8000 - 200) / 302));
    expect(rank('blast', 0.1)).to.equal(Math.floor((8000 - 200) / (300 + 32 + 8)));
    expect(rank('monarch', 0.1)).to.equal(Math.floor((8000 - 800) / (1200 + 32)));
  });

  it('never plans more numbers than the weight has, however small they are', () => {
    const { rank } = specOf(planOne([256, 256], { structure: 'low-rank', factorType: 'int8', keep: 1 }));
    expect(rank).to.equal(127);
  });

  it('makes factors int8 where products are to be', () => {
    expect(planOne([256, 256], { compute: 'int8' })).to.include({ factorType: 'int8', compute: 'int8' });
    expect(planOne([256, 256], { compute: 'bfloat16' })).to.include({
      factorType: 'float32',
      compute: 'bfloat16',
    });
    expect(planOne([256, 256], { compute: 'float' })).to.not.have.property('compute');
  });

  it('replaces quantized weights by int8 factors without being told twice', () => {
    const stored = { stored: { dtype: 'int8', bytes: 256 * 256 + 1024 } };
    expect(reasonOf(planOne([256, 256], {}, 17, stored)).code).to.equal('already-quantized');
    const { rank } = specOf(planOne([256, 256], { factorType: 'int8', structure: 'low-rank' }, 17, stored));
    expect(rank).to.equal(Math.floor((0.5 * stored.stored.bytes - 512) / 514));
  });

  it('uses the counts that are asked for', () => {
    expect(specOf(planOne([120, 360], { blocks: 6 }))).to.include({ blocksIn: 6, blocksOut: 6 });
    expect(specOf(planOne([120, 360], { blocks: [3, 8] }))).to.include({ blocksIn: 3, blocksOut: 8 });
    expect(specOf(planOne([120, 360], { blocks: 6, structure: 'low-rank' }))).to.include({
      blocksIn: 1,
      blocksOut: 1,
    });
    expect(specOf(planOne([121, 360], { blocks: 6 }, 11))).to.include({ blocksIn: 6 });
  });

  it('refuses counts that do not fit, and lists those that do', () => {
    const layers = [layer('odd', [121, 360]), layer('even', [120, 360])];
    const old = planRewrite(model(layers, 10), { blocks: 6 }).layers;
    expect(reasonOf(old[0])).to.deep.equal({
      code: 'blocks-do-not-fit',
      message:
        '6 blocks do not divide 121 input features, which needs opset 11 and the model has 10; 1, 11 fit.',
    });
    expect(specOf(old[1])).to.include({ blocksIn: 6 });
  });

  it('throws where the counts fit no layer at all', () =>
    expectError(
      () => planOne([120, 10], { blocks: [1, 7] }),
      'INVALID_ARGUMENT',
      /Blocks 1,7 fit no layer\. fc: 10 output features cannot be cut into 7 blocks of 2; 1, 2, 5, 10 fit/,
    ));

  it('refuses a rank that does not shrink, and names the largest that does', () => {
    const info = model([layer('big', [512, 512]), layer('small', [64, 64])]);
    const plan = planRewrite(info, { structure: 'low-rank', rank: 100 });
    expect(specOf(plan.layers[0]).rank).to.equal(100);
    expect(reasonOf(plan.layers[1])).to.deep.equal({
      code: 'rank-does-not-shrink',
      message:
        'Rank 100 does not make [64, 64] as low-rank of 1×1 blocks smaller; 31 is the largest that does.',
    });
    expect(specOf(planOne([64, 64], { structure: 'low-rank', rank: 31 })).rank).to.equal(31);
  });

  it('throws where the rank shrinks no layer at all', () =>
    expectError(
      () => planOne([64, 64], { structure: 'low-rank', rank: 32 }),
      'INVALID_ARGUMENT',
      /Rank 32 would shrink no layer.*31 is the largest/,
    ));

  it('keeps what cannot be made small enough', () => {
    expect(reasonOf(planOne([1, 64], { structure: 'low-rank' })).message).to.match(/No rank makes \[1, 64\]/);
    expect(reasonOf(planOne([64, 64], { structure: 'low-rank', keep: 0.01 })).message).to.match(
      /Rank 1 of \[64, 64\].* is already more than 0.01/,
    );
  });

  it('counts bytes, so that float16 factors of float32 weights get twice the rank', () => {
    const half = { structure: 'low-rank', factorType: 'float16' } as const;
    expect(specOf(planOne([256, 256], { ...half, keep: 0.25 })).rank).to.equal(64);
    expect(specOf(planOne([256, 256], { structure: 'low-rank', keep: 0.25 })).rank).to.equal(32);
    expect(
      specOf(planOne([256, 256], { structure: 'low-rank', factorType: 'float16', keep: 1 })).rank,
    ).to.equal(127);
    expect(planOne([256, 256], {}, 17, { dtype: 'float16' })).to.include({ factorType: 'float16' });
  });

  it('leaves small layers, and those that the patterns leave out', () => {
    const layers = [
      layer('/encoder/0/fc', [128, 128]),
      layer('/encoder/1/fc', [128, 128]),
      layer('/head', [128, 128]),
      layer('/tiny', [8, 8]),
    ];
    const codes = (options: PlanOptions) =>
      planRewrite(model(layers), options).layers.map((l) => ('keep' in l ? l.keep.code : 'rewritten'));
    expect(codes({})).to.deep.equal(['rewritten', 'rewritten', 'rewritten', 'too-small']);
    expect(codes({ include: ['*encoder*'] })).to.deep.equal([
      'rewritten',
      'rewritten',
      'excluded',
      'excluded',
    ]);
    expect(codes({ exclude: ['/encoder/0/fc', '/head.weight'] })).to.deep.equal([
      'excluded',
      'rewritten',
      'excluded',
      'too-small',
    ]);
    expect(codes({ include: ['*'], exclude: ['*/1/*'], minSize: 0 })).to.deep.equal([
      'rewritten',
      'excluded',
      'rewritten',
      'rewritten',
    ]);
  });

  it('refuses an include that names no layer', () =>
    expectError(
      () => planOne([64, 64], { include: ['fc', 'decoder*'] }),
      'INVALID_ARGUMENT',
      /'decoder\*'.*'inspect' lists the names/,
    ));

  it("passes on the rules' reasons", () => {
    const reason = { code: 'weight-tied', message: 'why' } as const;
    expect(planRewrite(model([layer('fc', null, { reason })])).layers[0]).to.deep.equal({
      id: 'fc',
      keep: reason,
    });
  });

  it('keeps the rarer type dense where nodes of one operator name differ in type before opset 15', () => {
    const layers = [
      layer('a', [128, 128]),
      layer('b', [128, 128], { dtype: 'float16' }),
      layer('c', [128, 128]),
      layer('d', [128, 128], { dtype: 'float16', activation: 'relu' }),
    ];
    const kept = (opset: number) =>
      planRewrite(model(layers, opset)).layers.map((l) => 'keep' in l && l.keep.code);
    expect(kept(14)).to.deep.equal([false, 'weight-type', false, false]);
    expect(kept(15)).to.deep.equal([false, false, false, false]);
  });

  const wrong: readonly [PlanOptions, RegExp][] = [
    [{ keep: 0 }, /keep to be more than 0 and at most 1; found 0/],
    [{ keep: 1.5 }, /keep/],
    [{ keep: NaN }, /keep/],
    [{ keep: 0.5, rank: 3 }, /keep or rank, not both/],
    [{ rank: 0 }, /rank to be a whole number from 1 up; found 0/],
    [{ rank: 2.5 }, /rank/],
    [{ blocks: 0 }, /blocks to be a whole number from 1 up/],
    [{ blocks: [4, -1] }, /blocks/],
    [{ minSize: -1 }, /minSize/],
    [{ structure: 'dense' as 'blast' }, /structure to be one of blast, monarch, low-rank; found "dense"/],
    [{ factorType: 'int4' as 'float16' }, /factorType to be one of/],
    [{ compute: 'int4' as 'int8' }, /compute to be one of float, bfloat16, int8; found "int4"/],
    [
      { compute: 'int8', factorType: 'float16' },
      /compute of float16 factors to be float or bfloat16; found "int8"/,
    ],
    [
      { compute: 'bfloat16', factorType: 'int8' },
      /compute of int8 factors to be float or int8; found "bfloat16"/,
    ],
  ];
  for (const [options, words] of wrong)
    it(`refuses ${JSON.stringify(options)}`, () =>
      expectError(() => planRewrite(model([]), options), 'INVALID_ARGUMENT', words));

  it('refuses bfloat16 factors where Cast does not know them', () =>
    expectError(
      () => planOne([64, 64], { factorType: 'bfloat16' }, 12),
      'INVALID_ARGUMENT',
      /bfloat16 need opset 13; m.onnx has 12/,
    ));
});

describe('parsePlan', () => {
  const plan: RewritePlan = {
    version: 1,
    source: 'b'.repeat(64),
    layers: [
      { id: 'a', spec: { structure: 'monarch', rank: 3, blocksIn: 2, blocksOut: 4 }, factorType: 'float16' },
      { id: 'b', keep: { code: 'too-small', message: 'why' } },
      {
        id: 'c',
        spec: { structure: 'blast', rank: 3, blocksIn: 2, blocksOut: 4 },
        factorType: 'int8',
        compute: 'int8',
      },
    ],
  };

  it('reads what formatPlan writes, one layer a line', () => {
    const text = formatPlan(plan);
    expect(parsePlan(text)).to.deep.equal(plan);
    expect(text.split('\n').filter((line) => line.includes('"id"'))).to.have.length(3);
    expect(parsePlan(formatPlan({ ...plan, layers: [] })).layers).to.deep.equal([]);
  });

  it('takes a note as the reason to keep a layer', () => {
    const edited = { ...plan, layers: [{ id: 'a', keep: 'loses accuracy' }] };
    expect(parsePlan(JSON.stringify(edited)).layers[0]).to.deep.equal({
      id: 'a',
      keep: { code: 'kept-by-plan', message: 'loses accuracy' },
    });
  });

  const spec = { structure: 'blast', rank: 3, blocksIn: 2, blocksOut: 4 };
  const one = (layer: unknown) => ({ ...plan, layers: [layer] });
  const damaged: readonly [string, unknown, RegExp][] = [
    ['another version', { ...plan, version: 2 }, /Plan, version: expected 1; found 2/],
    ['a source that is no hash', { ...plan, source: 'x' }, /Plan, source: expected a SHA-256/],
    ['layers that are no list', { ...plan, layers: {} }, /Plan, layers: expected a list/],
    ['no object at all', [], /the plan: expected an object/],
    ['a layer without id', one({ keep: 'x' }), /layers\[0\]\.id: expected the id of a layer; found nothing/],
    ['a layer without decision', one({ id: 'a' }), /layers\[0\]: expected spec and factorType, or keep/],
    [
      'an unknown reason',
      one({ id: 'a', keep: { code: 'lazy', message: '' } }),
      /layers\[0\]\.keep\.code: expected one of/,
    ],
    [
      'an unknown way to compute',
      one({ id: 'a', spec, factorType: 'int8', compute: 'int4' }),
      /layers\[0\]\.compute: expected one of float, bfloat16, int8; found "int4"/,
    ],
    [
      'an unknown structure',
      one({ id: 'a', spec: { ...spec, structure: 'x' }, factorType: 'float32' }),
      /layers\[0\]\.spec\.structure/,
    ],
    [
      'a fractional rank',
      one({ id: 'a', spec: { ...spec, rank: 1.5 }, factorType: 'float32' }),
      /layers\[0\]\.spec\.rank: expected a whole number from 1 up; found 1.5/,
    ],
    [
      'a missing count',
      one({ id: 'a', spec: { ...spec, blocksOut: undefined }, factorType: 'float32' }),
      /spec\.blocksOut/,
    ],
    [
      'low rank in blocks',
      one({ id: 'a', spec: { ...spec, structure: 'low-rank' }, factorType: 'float32' }),
      /1 for low-rank/,
    ],
    ['no factor type', one({ id: 'a', spec }), /layers\[0\]\.factorType: expected one of float32/],
    [
      'a layer twice',
      { ...plan, layers: [plan.layers[1], plan.layers[1]] },
      /layers\[1\]\.id: expected each layer once; found "b"/,
    ],
  ];
  for (const [name, value, words] of damaged)
    it(`refuses ${name}`, () => expectError(() => parsePlan(JSON.stringify(value)), 'INVALID_PLAN', words));

  it('refuses text that is not JSON', () => expectError(() => parsePlan('{'), 'INVALID_PLAN', /not JSON/));
});
