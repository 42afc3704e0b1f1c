/** Where ONNX Runtime runs the operators in a CUDA session, read from its own profile. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { temporaryFolder } from '../loader/helpers.js';
import { buildLayer, type BuiltLayer, type LayerSpec } from '../ops/helpers/layer.js';
import { useGpu } from './gpu.js';

interface ProfiledNode {
  readonly op: string;
  readonly provider: string;
}

const SIZES = { in: 96, out: 112, blocksIn: 4, blocksOut: 2, rank: 24 };
const HALF = { sizes: SIZES, leading: [3], xType: 'float16', factorType: 'float16', bias: 'all' } as const;

describe('a CUDA session', () => {
  useGpu();
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  async function profile(layer: BuiltLayer, executionProviders: string[]): Promise<ProfiledNode[]> {
    const profileFilePrefix = join(folder, 'profile');
    const options = { executionProviders, enableProfiling: true, profileFilePrefix };
    const session = await ort.InferenceSession.create(layer.model, options);
    await session.run(layer.feeds);
    session.endProfiling();
    await session.release();
    return readNodes(folder);
  }

  for (const structure of ['LowRankMatMul', 'BlastMatMul', 'MonarchMatMul'] as const) {
    it(`runs ${structure} on the GPU, with nothing copied but the model's input and output`, async () => {
      const nodes = await profile(buildLayer({ ...HALF, structure }), ['cuda']);
      expect(nodes).to.deep.include({ op: structure, provider: 'CUDAExecutionProvider' });
      // onnxruntime-node's own feeds and fetches are no nodes; a Memcpy node would be one around the operator.
      expect(nodes.filter(({ op }) => op.startsWith('Memcpy'))).to.deep.equal([]);
    });
  }

  it('runs an operator between casts to bfloat16 without leaving the GPU', async () => {
    const spec: LayerSpec = { ...HALF, structure: 'BlastMatMul', xType: 'bfloat16', factorType: 'bfloat16' };
    const nodes = await profile(buildLayer(spec), ['cuda']);
    expect(nodes.map(({ op }) => op)).to.deep.equal(['Cast', 'BlastMatMul', 'Cast']);
    expect(nodes.every(({ provider }) => provider === 'CUDAExecutionProvider')).to.equal(true);
  });

  it('is not what a CPU session becomes', async () => {
    const nodes = await profile(buildLayer({ ...HALF, structure: 'BlastMatMul' }), ['cpu']);
    expect(nodes).to.deep.equal([{ op: 'BlastMatMul', provider: 'CPUExecutionProvider' }]);
  });
});

function readNodes(folder: string): ProfiledNode[] {
  const [file] = readdirSync(folder);
  const events = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
    cat: string;
    name: string;
    args?: { op_name?: string; provider?: string };
  }[];
  return events
    .filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'))
    .map(({ args }) => ({ op: args?.op_name ?? '', provider: args?.provider ?? '' }));
}
