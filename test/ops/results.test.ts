/** What the operators compute in onnxruntime-node, against float64 loops. */
import { expect } from 'chai';
import { doctor } from '../../src/doctor.js';
import { buildLayer, expectLayer, relativeError, runLayer, type LayerSpec } from './helpers/layer.js';
import { usePlugin } from './helpers/plugin.js';

const RAGGED = { in: 45, out: 52, blocksIn: 4, blocksOut: 3, rank: 19 };
const SIZES = [
  { in: 1, out: 1, blocksIn: 1, blocksOut: 1, rank: 1 },
  { in: 7, out: 5, blocksIn: 3, blocksOut: 2, rank: 1 },
  { in: 64, out: 96, blocksIn: 4, blocksOut: 2, rank: 32 },
  { in: 97, out: 101, blocksIn: 5, blocksOut: 7, rank: 33 },
  { in: 512, out: 40, blocksIn: 1, blocksOut: 4, rank: 65 },
];
const LEADING = [[], [0], [1], [3], [2, 5], [2, 0, 3], [1, 1, 33]];
const SUFFIXES = { none: '', relu: 'Relu', gelu: 'Gelu', gelu_tanh: 'GeluTanh', silu: 'Silu' };
const STRUCTURES = ['LowRankMatMul', 'BlastMatMul', 'MonarchMatMul'] as const;

const show = (value: object) => JSON.stringify(value).replaceAll('"', '');

for (const structure of STRUCTURES) {
  const base = { structure, sizes: RAGGED, leading: [3] };
  describe(structure, () => {
    usePlugin();

    for (const sizes of SIZES) {
      it(`computes ${show(sizes)} for one and for many tokens`, async () => {
        await expectLayer({ structure, sizes, leading: [1] });
        await expectLayer({ structure, sizes, leading: [50] });
        await expectLayer({ structure, sizes, leading: [1], factorType: 'int8' });
        await expectLayer({ structure, sizes, leading: [50], factorType: 'int8', scaleType: 'float16' });
      });
    }

    for (const leading of LEADING) {
      it(`takes X with leading dimensions [${leading.join(', ')}]`, () => expectLayer({ ...base, leading }));
    }

    for (const xType of ['float32', 'float16'] as const) {
      for (const factorType of ['float32', 'float16', 'bfloat16', 'int8'] as const) {
        it(`takes ${xType} with ${factorType} factors`, async () => {
          await expectLayer({ ...base, xType, factorType, bias: 'all' });
          await expectLayer({ ...base, xType, factorType, leading: [20] });
        });
      }
    }

    for (const bias of ['none', 'one', 'all'] as const) {
      it(`adds a bias of ${bias === 'none' ? 'no' : bias} outputs`, () => expectLayer({ ...base, bias }));
    }

    for (const [activation, suffix] of Object.entries(SUFFIXES)) {
      it(`applies ${activation} by attribute and by name`, async () => {
        await expectLayer({ ...base, activation, attributes: { activation } });
        await expectLayer({ ...base, activation, suffix, bias: 'all' });
        await expectLayer({ ...base, activation, suffix, attributes: { activation } });
        await expectLayer({ ...base, activation, suffix, factorType: 'int8', bias: 'one' });
      });
    }

    it('takes factors that are computed in the graph', async () => {
      await expectLayer({ ...base, computedFactors: true, bias: 'all' });
      await expectLayer({ ...base, computedFactors: true, factorType: 'float16', leading: [30] });
    });

    it('takes int8 factors and scales that are computed in the graph', async () => {
      await expectLayer({ ...base, computedFactors: true, factorType: 'int8', bias: 'all' });
    });

    it('takes the attribute compute', async () => {
      await expectLayer({ ...base, attributes: { compute: 'float' } });
      await expectLayer({ ...base, factorType: 'int8', attributes: { compute: 'float' } });
    });

    it('computes int8 products where they are asked for, close to those in float32', async () => {
      for (const spec of [
        { ...base, leading: [2] },
        { ...base, leading: [70], computedFactors: true, bias: 'all', xType: 'float16' },
        { ...base, leading: [40], scaleType: 'float16', suffix: 'Gelu', activation: 'gelu' },
      ] as const) {
        const layer = buildLayer({ ...spec, factorType: 'int8', attributes: { compute: 'int8' } });
        const error = relativeError(await runLayer(layer), layer.expected.y);
        expect(error).to.be.greaterThan(5e-4).and.lessThan(0.025);
      }
    });

    it('computes bfloat16 products where they are asked for and the processor has them', async () => {
      const { isa, bfloat16 } = (await doctor()).library.build!;
      for (const factorType of ['float32', 'float16', 'bfloat16'] as const) {
        const layer = buildLayer({ ...base, leading: [30], factorType, attributes: { compute: 'bfloat16' } });
        const error = relativeError(await runLayer(layer), layer.expected.y);
        if (bfloat16) expect(error, isa).to.be.greaterThan(5e-4).and.lessThan(0.01);
        else expect(error, isa).to.be.lessThan(1e-5);
      }
    });

    it('gives the same bits with one thread and with two', async () => {
      for (const tokens of [1, 6, 150]) {
        for (const own of [
          { factorType: 'float32' },
          { factorType: 'int8' },
          { factorType: 'int8', attributes: { compute: 'int8' } },
          { factorType: 'float32', attributes: { compute: 'bfloat16' } },
        ] as const) {
          const layer = buildLayer({ ...base, leading: [tokens], ...own });
          const [one, two] = [1, 2].map((intraOpNumThreads) => runLayer(layer, { intraOpNumThreads }));
          expect((await two).data).to.deep.equal((await one).data);
        }
      }
    });
  });
}

describe('MonarchMatMul in interleaved order', () => {
  usePlugin();

  const base: LayerSpec = {
    structure: 'MonarchMatMul',
    sizes: RAGGED,
    leading: [5],
    interleaved: true,
    bias: 'all',
  };

  it('is chosen by attribute and by name', async () => {
    await expectLayer({ ...base, attributes: { output_order: 'interleaved' } });
    await expectLayer({ ...base, suffix: 'Interleaved' });
    await expectLayer({ ...base, suffix: 'Interleaved', attributes: { output_order: 'interleaved' } });
  });

  for (const [activation, suffix] of Object.entries(SUFFIXES)) {
    it(`has a name with ${activation}`, async () => {
      await expectLayer({ ...base, activation, suffix: `Interleaved${suffix}` });
      await expectLayer({
        ...base,
        activation,
        suffix: `Interleaved${suffix}`,
        leading: [40],
        xType: 'float16',
      });
    });
  }

  it('is chosen of int8 factors too', async () => {
    await expectLayer({ ...base, factorType: 'int8', attributes: { output_order: 'interleaved' } });
    await expectLayer({ ...base, factorType: 'int8', suffix: 'InterleavedSilu', activation: 'silu' });
  });

  it('differs from the contiguous order', async () => {
    const [contiguous, interleaved] = ['contiguous', 'interleaved'].map((output_order) =>
      runLayer(buildLayer({ ...base, attributes: { output_order } })),
    );
    expect((await interleaved).data).to.not.deep.equal((await contiguous).data);
  });
});
