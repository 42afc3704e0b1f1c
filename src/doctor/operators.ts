/** Tries blockrank's operators for real: a session with one LowRankMatMul, its output compared with the product done by hand. */
import type { OnnxRuntimeModule } from '../../graph-rewriter/onnxruntime.js';
import { ok, unavailable, type Check } from './check.js';
import { FLOAT, tinyModel } from './tiny-model.js';

const X = [1, 2];
const V = [3, 4]; // [1, 2]: X · Vᵀ = 11
const U = [1, 2]; // [2, 1]
const EXPECTED = [11, 22];

const MODEL = tinyModel({
  domain: 'ai.blockrank',
  op: 'LowRankMatMul',
  elementType: FLOAT,
  shape: [1, 2],
  factors: [
    { name: 'V', shape: [1, 2], values: V },
    { name: 'U', shape: [2, 1], values: U },
  ],
});

export async function checkOperators(ort: OnnxRuntimeModule, executionProviders: string[]): Promise<Check> {
  try {
    const session = await ort.InferenceSession.create(MODEL, { executionProviders });
    const { Y } = await session.run({ X: new ort.Tensor('float32', X, [1, 2]) });
    await session.release();
    const y = [...(Y.data as Float32Array)];
    if (y.length === EXPECTED.length && y.every((value, i) => value === EXPECTED[i])) {
      return ok('LowRankMatMul ran in a session and gave the right result');
    }
    return unavailable(`LowRankMatMul gave [${y.join(', ')}], expected [${EXPECTED.join(', ')}]`, REPORT);
  } catch (error) {
    return unavailable((error as Error).message, 'The other answers say what is missing.');
  }
}

const REPORT = 'Please report this with the output of `blockrank doctor --json`.';
