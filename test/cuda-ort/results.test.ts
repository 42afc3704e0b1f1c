/** What the operators compute behind the CUDA provider of onnxruntime-node, against float64 loops. */
import { expectLayer, expectLeadings, type LayerSpec } from '../ops/helpers/layer.js';
import { useGpu } from './gpu.js';

const TOKENS = [[0], [1], [3], [17], [129]];
// Every row of every block starts at 16 bytes (the fast kernels) and it does not (the general one); ragged last blocks.
const SIZES: Readonly<Record<string, LayerSpec['sizes']>> = {
  aligned: { in: 96, out: 112, blocksIn: 4, blocksOut: 2, rank: 24 },
  'aligned, ragged': { in: 104, out: 90, blocksIn: 4, blocksOut: 4, rank: 40 },
  ragged: { in: 45, out: 52, blocksIn: 4, blocksOut: 3, rank: 19 },
};
const SUFFIXES = { none: '', relu: 'Relu', gelu: 'Gelu', gelu_tanh: 'GeluTanh', silu: 'Silu' };
const STRUCTURES = ['LowRankMatMul', 'BlastMatMul', 'MonarchMatMul'] as const;
const TYPES = ['float32', 'float16', 'bfloat16'] as const;

type Family = Pick<LayerSpec, 'structure' | 'interleaved'>;

for (const structure of STRUCTURES) {
  const families: Family[] = [{ structure }];
  if (structure === 'MonarchMatMul') families.push({ structure, interleaved: true });
  for (const family of families) {
    const name = family.interleaved ? 'Interleaved' : '';
    const base = { ...family, leading: [] };
    describe(`${structure}${name} on CUDA`, () => {
      useGpu();

      for (const xType of TYPES) {
        for (const factorType of TYPES) {
          it(`takes ${xType} with ${factorType} factors and a bias of every kind`, async () => {
            for (const sizes of Object.values(SIZES)) {
              for (const bias of ['none', 'one', 'all'] as const)
                await expectLeadings(
                  { ...base, sizes, xType, factorType, bias, suffix: name },
                  TOKENS,
                  'cuda',
                );
            }
          });
        }

        it(`takes ${xType} with int8 factors, with scales of either type`, async () => {
          for (const sizes of Object.values(SIZES)) {
            for (const scaleType of ['float32', 'float16'] as const) {
              const types = { xType, factorType: 'int8', scaleType, bias: 'all' } as const;
              await expectLeadings({ ...base, ...types, sizes, suffix: name }, TOKENS, 'cuda');
            }
          }
        });

        for (const [activation, suffix] of Object.entries(SUFFIXES)) {
          it(`applies ${activation} to ${xType}`, async () => {
            for (const [sizes, bias] of [
              [SIZES['aligned'], 'all'],
              [SIZES['ragged'], 'none'],
            ] as const) {
              const spec = { ...base, sizes, xType, factorType: xType, bias, activation };
              await expectLeadings({ ...spec, suffix: name + suffix }, TOKENS, 'cuda');
            }
          });
        }
      }

      it('takes X with any leading dimensions', async () => {
        for (const leading of [[], [2, 5], [2, 0, 3], [1, 1, 33]])
          await expectLayer({ ...base, sizes: SIZES['ragged'], leading, suffix: name }, 'cuda');
      });

      it('takes factors and a bias that the graph is fed with', async () => {
        for (const sizes of Object.values(SIZES)) {
          for (const type of ['float32', 'float16'] as const) {
            const types = { xType: type, factorType: type, bias: 'all', computedFactors: true } as const;
            await expectLeadings({ ...base, ...types, sizes, suffix: name }, TOKENS, 'cuda');
          }
        }
      });
    });
  }
}
