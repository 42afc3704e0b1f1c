import { expect } from 'chai';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { seededRandom } from '../../src/inputs/random.js';
import type { ValidationReport } from '../../src/validation/validate.js';
import { npz } from '../inputs/helpers/npz.js';
import { matMulModel, scratch, type Scratch } from '../validation/helpers/tiny-model.js';
import { blockrank, type Outcome } from './helpers.js';

interface ErrorReport {
  error: { code: string; message: string };
}
/** Times of so small a layer are noise. */
const EVERY_LAYER = '--no-keep-dense-if-slower';
const json = <T>({ stdout }: Outcome) => JSON.parse(stdout) as T;

describe('blockrank', () => {
  let files: Scratch;
  let model: string;
  let other: string;
  const path = (name: string) => join(files.folder, name);

  before(async () => {
    files = await scratch();
    // Random, so that no low rank is exact.
    const random = seededRandom(3);
    const weight = Array.from({ length: 96 * 80 }, () => random() - 0.5);
    model = await files.write(
      'model.onnx',
      matMulModel(96, 80, (i) => weight[i]),
    );
    other = await files.write(
      'other.onnx',
      matMulModel(96, 80, (i) => weight[i] + 0.1),
    );
  });
  after(() => files.remove());

  describe('inspect', () => {
    it('lists layers with name, shape, type and totals', async () => {
      const { code, stdout } = await blockrank(['inspect', model]);
      expect(code).to.equal(0);
      expect(stdout).to.match(/MatMul_y +MatMul +96 × 80 +float32 +W +initializer +30\.7 kB +yes/);
      expect(stdout).to.contain('1 layer, 1 would be rewritten: 30.7 kB');
    });

    it('says why a layer would stay dense', async () => {
      const small = await files.write('small.onnx', matMulModel(4, 3, Math.sin));
      const { stdout } = await blockrank(['inspect', small]);
      expect(stdout).to.contain('no: too-small');
      expect(stdout).to.contain('It has 12 numbers');
    });

    it('prints JSON alone on stdout', async () => {
      const info = json<{ layers: object[]; totals: object }>(await blockrank(['inspect', model, '--json']));
      expect(info.totals).to.deep.equal({ layers: 1, rewritable: 1, rewritableBytes: 96 * 80 * 4 });
    });
  });

  describe('rewrite', () => {
    it('writes a smaller model, and densify turns it back', async () => {
      const rewritten = await blockrank([
        'rewrite',
        EVERY_LAYER,
        EVERY_LAYER,
        model,
        '-o',
        path('out.onnx'),
        '--structure',
        'low-rank',
      ]);
      expect(rewritten.code, rewritten.stderr).to.equal(0);
      expect(rewritten.stdout).to.match(/96 × 80 +LowRankMatMul +21 /);
      expect(rewritten.stdout).to.contain('1 layer rewritten, 0 kept');
      const dense = await blockrank(['densify', path('out.onnx'), '-o', path('dense.onnx'), '--json']);
      expect(json<{ nodes: string[] }>(dense).nodes).to.have.length(1);
      const args = [
        'validate',
        path('out.onnx'),
        path('dense.onnx'),
        '--no-plugin',
        '--runs',
        '0',
        '--atol',
        '1e-4',
      ];
      expect((await blockrank(args)).code).to.equal(0);
    });

    it('writes int8 factors, with what rounding added, to be computed in int8', async () => {
      const args = [
        'rewrite',
        EVERY_LAYER,
        model,
        '-o',
        path('q.onnx'),
        '--structure',
        'low-rank',
        '--compute',
        'int8',
      ];
      const { code, stdout, stderr } = await blockrank(args);
      expect(code, stderr).to.equal(0);
      expect(stdout).to.match(/error +of int8/);
      // Half of the numbers: 21 · (96 + 80) bytes, and two for each of 21 + 80 scales.
      expect(stdout).to.match(/96 × 80 +QLowRankMatMul +21 +30\.7 kB +3\.90 kB +0\.\d+ +0\.00\d+/);
      const plan = await blockrank([
        'rewrite',
        EVERY_LAYER,
        model,
        '--dry-run',
        '--factors',
        'fp16',
        '--compute',
        'bf16',
      ]);
      expect(plan.stdout).to.contain('float16, computed in bfloat16');
    });

    it('prints a plan with --dry-run and writes nothing', async () => {
      const { code, stdout } = await blockrank([
        'rewrite',
        EVERY_LAYER,
        EVERY_LAYER,
        model,
        '--dry-run',
        '--rank',
        '7',
        '--blocks',
        '2',
      ]);
      expect(code).to.equal(0);
      expect(stdout).to.match(/blast +2 × 2 +7 +float32/);
      expect(stdout).to.contain('no model was written');
    });

    it('refuses block counts that fit no layer', async () => {
      const { code, stderr } = await blockrank(['rewrite', model, '--dry-run', '--blocks', '95']);
      expect(code).to.equal(2);
      expect(stderr).to.match(/Blocks 95 fit no layer\. .*: 96 input features cannot be cut into 95 blocks/);
    });

    it('refuses a target before it calibrates', async () => {
      const missing = path('no/such/folder/out.onnx');
      const args = ['rewrite', model, '-o', missing, '--calibration', path('none.npz')];
      const { code, stderr } = await blockrank(args);
      expect(code).to.equal(2);
      expect(stderr).to.match(/cannot be written: The folder does not exist/);
      expect(stderr).not.to.match(/calibrating/);
    });

    it('writes the plan whole or not at all, and to what is no file', async () => {
      const planOut = path('whole.json');
      await blockrank(['rewrite', model, '--plan-out', planOut]);
      const mode = await blockrank(['rewrite', model, '--plan-out', join(planOut, 'x.json')]);
      expect(mode.code).to.equal(2);
      expect(mode.stderr).to.match(/cannot be written/);
      expect((await readdir(path('.'))).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
      const piped = await blockrank(['rewrite', model, '--plan-out', '/dev/null', '--json']);
      expect(piped.code, piped.stderr).to.equal(0);
    });

    it('does not write the plan over a model', async () => {
      const before = await readFile(model);
      for (const output of [[], ['-o', path('same.onnx')]]) {
        const planOut = output[1] ?? model;
        const { code, stderr } = await blockrank([
          'rewrite',
          EVERY_LAYER,
          model,
          '--plan-out',
          planOut,
          ...output,
        ]);
        expect(code).to.equal(2);
        expect(stderr).to.contain('would replace the model');
      }
      expect(await readFile(model)).to.deep.equal(before);
    });

    it('writes a plan that can be edited and applied', async () => {
      await blockrank([
        'rewrite',
        EVERY_LAYER,
        model,
        '--plan-out',
        path('plan.json'),
        '--structure',
        'low-rank',
      ]);
      const plan = await readFile(path('plan.json'), 'utf8');
      await writeFile(path('plan.json'), plan.replace(/"rank": ?21/, '"rank":5'));
      const args = [
        'rewrite',
        EVERY_LAYER,
        model,
        '-o',
        path('planned.onnx'),
        '--plan',
        path('plan.json'),
        '--json',
      ];
      const { code, stdout, stderr } = await blockrank(args);
      expect(code, stderr).to.equal(0);
      expect(stdout).to.match(/"rank": 5/);
    });

    it('fits the factors to calibration inputs', async () => {
      const error = async (extra: string[]) => {
        const args = [
          'rewrite',
          EVERY_LAYER,
          model,
          '-o',
          path('c.onnx'),
          '--structure',
          'low-rank',
          '--json',
          ...extra,
        ];
        const outcome = await blockrank(args);
        expect(outcome.code, outcome.stderr).to.equal(0);
        return json<{ layers: { result: { weightedError: number; relativeError: number } }[] }>(outcome)
          .layers[0].result;
      };
      // Inputs that lie in a plane: a calibrated pair of rank 21 can be exact on them.
      const inputs = Float32Array.from(
        { length: 40 * 96 },
        (_, i) =>
          Math.cos(Math.floor(i / 96)) * ((i % 96) % 5) + Math.sin(Math.floor(i / 96)) * ((i % 96) % 7),
      );
      await writeFile(path('x.npz'), npz({ x: { dims: [40, 96], data: inputs } }));
      const plain = await error([]);
      const calibrated = await error(['--calibration', path('x.npz')]);
      expect(plain.weightedError).to.equal(plain.relativeError);
      expect(calibrated.weightedError).to.be.below(plain.weightedError / 10);
    });

    it('needs to know where to write', async () => {
      const { code, stderr } = await blockrank(['rewrite', EVERY_LAYER, model]);
      expect(code).to.equal(2);
      expect(stderr).to.contain('say where to write the model with -o, or give --dry-run');
    });

    it('does not take planning options beside a plan', async () => {
      const args = [
        'rewrite',
        EVERY_LAYER,
        model,
        '-o',
        path('x.onnx'),
        '--plan',
        path('plan.json'),
        '--keep',
        '0.5',
      ];
      expect((await blockrank(args)).stderr).to.contain('give it without --keep, or edit the plan');
    });

    it('does not take --keep and --rank at once', async () => {
      const { code, stderr } = await blockrank([
        'rewrite',
        EVERY_LAYER,
        EVERY_LAYER,
        model,
        '--dry-run',
        '--keep',
        '0.5',
        '--rank',
        '4',
      ]);
      expect(code).to.equal(2);
      expect(stderr).to.contain("option '--rank <n>' cannot be used with option '--keep <share>'");
    });
  });

  describe('validate', () => {
    const compare = (...args: string[]) => blockrank(['validate', '--no-plugin', '--runs', '0', ...args]);

    it('exits with 0 and says PASSED where outputs agree', async () => {
      const { code, stdout } = await compare(model, model);
      expect(code).to.equal(0);
      expect(stdout).to.contain('PASSED: 1 comparison on 1 data set, 0 failed; plugin not used');
    });

    it('exits with 1 and says FAILED and why where they do not', async () => {
      const { code, stdout } = await compare(model, other, '--shape', 'x:4,96', '--count', '2');
      expect(code).to.equal(1);
      expect(stdout).to.contain('FAILED: 2 comparisons on 2 data sets, 2 failed');
      expect(stdout).to.match(
        /elements differ by more than the tolerance; worst at \[\d, \d+\]: .*, expected /,
      );
    });

    it('takes tolerances by output', async () => {
      expect((await compare(model, other, '--atol', 'y:10')).code).to.equal(0);
    });

    it('prints a report as JSON, infinite numbers as strings', async () => {
      const outcome = await compare(model, model, '--json');
      const report = json<ValidationReport>(outcome);
      expect(report.passed).to.equal(true);
      expect(report.comparisons[0].statistics!.signalToNoise).to.equal('Infinity');
    });

    it('takes session options', async () => {
      const good = await compare(
        model,
        model,
        '--threads',
        '1',
        '--session-options',
        '{"graphOptimizationLevel":"disabled"}',
      );
      expect(good.code, good.stderr).to.equal(0);
      const bad = await compare(model, model, '--session-options', '[1]');
      expect(bad.code).to.equal(2);
      expect(bad.stderr).to.contain('--session-options must be a JSON object');
    });
  });

  describe('on mistakes of the user', () => {
    it('prints one sentence without a stack, on stderr, with exit code 2', async () => {
      const { code, stdout, stderr } = await blockrank(['inspect', '/no/such.onnx']);
      expect(code).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr.trim().split('\n')).to.have.length(1);
      expect(stderr).to.match(/^blockrank: .*\/no\/such\.onnx/);
    });

    it('shows the stack with --debug or BLOCKRANK_DEBUG=1', async () => {
      expect((await blockrank(['inspect', '/no/such.onnx', '--debug'])).stderr).to.contain('    at ');
      expect((await blockrank(['inspect', '/no/such.onnx'], { BLOCKRANK_DEBUG: '1' })).stderr).to.contain(
        '    at ',
      );
    });

    it('prints the error as JSON too with --json', async () => {
      const { error } = json<ErrorReport>(await blockrank(['inspect', '/no/such.onnx', '--json']));
      expect(error.code).to.equal('IO');
      const unknown = json<ErrorReport>(await blockrank(['inspect', '--json', model, '--nonsense']));
      expect(unknown.error).to.deep.equal({
        code: 'INVALID_ARGUMENT',
        message: "unknown option '--nonsense'",
      });
    });

    it('explains a wrong option value, a missing argument and an unknown command', async () => {
      const value = await blockrank(['rewrite', EVERY_LAYER, model, '--keep', '7']);
      expect(value.code).to.equal(2);
      expect(value.stderr).to.contain('Expected a number above 0 and at most 1.');
      expect((await blockrank(['inspect'])).stderr).to.contain("missing required argument 'model'");
      expect((await blockrank(['inspekt'])).stderr).to.contain('Did you mean inspect?');
    });
  });

  it('lists its commands and their options, and its version', async () => {
    const help = await blockrank(['--help']);
    expect(help.code).to.equal(0);
    for (const command of ['inspect', 'rewrite', 'validate', 'densify', 'doctor', 'demo']) {
      expect(help.stdout).to.contain(`  ${command} `);
    }
    expect((await blockrank(['rewrite', '--help'])).stdout).to.contain('--calibration <path>');
    expect((await blockrank(['--version'])).stdout).to.match(/^\d+\.\d+\.\d+\n$/);
  });
});
