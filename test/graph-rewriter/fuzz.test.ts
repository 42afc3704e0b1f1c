import { expect } from 'chai';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { densifyModel } from '../../graph-rewriter/densify.js';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { B, IN, layerModel, OUT, W, weightTensor } from './helpers/layer-model.js';
import { constant, node, tensor, valueInfo } from './helpers/onnx.js';
import { random } from './helpers/reference.js';
import { withUnknownFields } from './helpers/unknown-fields.js';
import { rewriteAny, rewriteKnown, save, workspace } from './helpers/workspace.js';

/** More with FUZZ_CASES; each case writes and synchronises a file. */
const CASES = Number(process.env.FUZZ_CASES ?? 250);

function model(): Uint8Array {
  const body = {
    name: 'b',
    node: [node('MatMul', ['x', 'w2'], ['t'])],
    output: [valueInfo('t', ['n', OUT])],
  };
  return withUnknownFields(
    layerModel({
      nodes: [
        constant('cond', { name: '', dims: [], dataType: 9, rawData: Uint8Array.of(1) }),
        constant('w2', tensor('', [IN, OUT], random(IN * OUT, 2))),
        node('Gemm', ['x', 'w', 'b'], ['v'], { transB: 0 }, { name: 'fc', floats: { alpha: 2 } }),
        node('Sigmoid', ['v'], ['s']),
        node('Mul', ['v', 's'], ['a']),
        node('If', ['cond'], ['i'], { then_branch: body, else_branch: body }),
        node('Add', ['a', 'i'], ['y']),
      ],
      initializers: [tensor('b', [OUT], B), weightTensor('inOut')],
      inputs: [valueInfo('x', ['n', IN])],
    }),
  );
}

/** One of: a byte changed, a bit flipped, a cut, a stretch repeated or removed. */
function mutate(bytes: Uint8Array, pick: (below: number) => number): Uint8Array {
  // Most of the file is weights, where nothing can go wrong: aim at the rest half of the time.
  const at = () => (pick(2) === 0 ? pick(bytes.length) : pick(600));
  const copy = bytes.slice();
  const [start, length] = [at(), 1 + pick(40)];
  switch (pick(5)) {
    case 0:
      copy[start] = pick(256);
      return copy;
    case 1:
      copy[start] ^= 1 << pick(8);
      return copy;
    case 2:
      return bytes.subarray(0, start);
    case 3:
      return Uint8Array.of(...bytes.subarray(0, start + length), ...bytes.subarray(start));
    default:
      return Uint8Array.of(...bytes.subarray(0, start), ...bytes.subarray(start + length));
  }
}

/** Anything but success or a typed error is a defect. */
async function survives(action: () => Promise<unknown>, title: string): Promise<boolean> {
  let isDone = true;
  try {
    await action();
  } catch (error) {
    isDone = false;
    if (!(error instanceof BlockrankError)) throw new Error(`${title}: ${String(error)}`, { cause: error });
  }
  return isDone;
}

describe('damaged models', () => {
  for (const direction of ['rewrite', 'densify'] as const)
    it(`end in a model or a typed error when given to ${direction}, in ${CASES} cases`, async () => {
      const folder = workspace();
      const [path, target] = [join(folder, 'm.onnx'), join(folder, 'o.onnx')];
      const numbers = random(CASES * 12, 78);
      let next = 0;
      const pick = (below: number) =>
        Math.floor(((numbers[next++ % numbers.length] + 1) / 2) * below) % below;
      const original = direction === 'rewrite' ? model() : await rewrittenModel();
      let done = 0;
      for (let i = 0; i < CASES; i++) {
        const bytes = pick(3) === 0 ? mutate(mutate(original, pick), pick) : mutate(original, pick);
        writeFileSync(path, bytes);
        rmSync(target, { force: true });
        const run =
          direction === 'rewrite'
            ? () => rewriteAny(path, target, { minSize: 1 })
            : () => densifyModel(path, target);
        if (await survives(run, `case ${i}`)) done++;
      }
      expect(done)
        .to.be.greaterThan(CASES / 20)
        .and.lessThan(CASES);
    });
});

async function rewrittenModel(): Promise<Uint8Array> {
  const source = save(
    layerModel({ nodes: [node('MatMul', ['x', 'w'], ['y'])], initializers: [weightTensor('inOut')] }),
  );
  const { target } = await rewriteKnown(source, { w: W });
  return Uint8Array.from(readFileSync(target));
}
