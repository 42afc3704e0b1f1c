import { expect } from 'chai';
import { join } from 'node:path';
import { reconstruct, createEngine } from '../../graph-rewriter/factorize/index.js';
import { visitPairs } from '../../graph-rewriter/pairs.js';
import { seededRandom } from '../../src/inputs/random.js';
import { renderReport } from '../../src/report/html.js';
import { report } from '../../src/report/report.js';
import type { ModelReport } from '../../src/report/types.js';
import { rewrite } from '../../src/rewrite.js';
import { expectError } from '../graph-rewriter/helpers/errors.js';
import { npz } from '../inputs/helpers/npz.js';
import { matMulModel, scratch, type Scratch } from '../validation/helpers/tiny-model.js';

const [IN, OUT] = [96, 80];

describe('report', () => {
  let files: Scratch;
  let model: string;
  let rewritten: string;
  let inputs: string;
  let found: ModelReport;

  before(async () => {
    files = await scratch();
    const random = seededRandom(3);
    const weight = Array.from({ length: IN * OUT }, () => random() - 0.5);
    model = await files.write(
      'model.onnx',
      matMulModel(IN, OUT, (i) => weight[i]),
    );
    rewritten = join(files.folder, 'rewritten.onnx');
    await rewrite(model, rewritten, {
      structure: 'blast',
      blocks: 4,
      keep: 0.6,
      iterations: 3,
      keepDenseIfSlower: false,
    });
    const x = Float32Array.from({ length: 40 * IN }, () => random() - 0.5);
    inputs = join(files.folder, 'x.npz');
    await files.write('x.npz', npz({ x: { dims: [40, IN], data: x } }));
    found = await report(model, rewritten, { inputs: { paths: [inputs] } });
  });
  after(() => files.remove());

  it('measures the layer as plain loops over the stored factors do', async () => {
    const engine = createEngine();
    let expected = 0;
    await visitPairs(model, rewritten, async (pair) => {
      const { data } = pair.readWeight();
      const dense = await reconstruct(engine, pair.readFactors());
      let [error, all] = [0, 0];
      data.forEach((value, i) => {
        error += (value - dense[i]) ** 2;
        all += value ** 2;
      });
      expected = Math.sqrt(error / all);
    });
    expect(found.layers).to.have.length(1);
    expect(found.layers[0].errors.weight).to.be.closeTo(expected, 1e-6);
    expect(expected).to.be.greaterThan(0.1);
  });

  it('has the error of one linear layer end to end: on its activations', () => {
    const [layer] = found.layers;
    const [, ours, int8, int4] = found.models.map(({ outputs }) => outputs[0].relativeError);
    expect(ours).to.be.closeTo(layer.errors.activation!, 1e-4 * ours);
    expect(int8).to.be.closeTo(layer.quantized['dense int8'].activation!, 1e-3 * int8);
    expect(int4).to.be.closeTo(layer.quantized['dense int4'].activation!, 1e-3 * int4);
  });

  it('compares bytes with quantization and says who wins', () => {
    const [original, ours, int8, int4] = found.models.map(({ bytes }) => bytes);
    expect(int8).to.equal(original - 4 * IN * OUT + IN * OUT + 4 * OUT);
    expect(int4).to.be.lessThan(int8);
    expect(ours).to.be.lessThan(original);
    expect(found.findings[0]).to.match(/^Quantization alone wins here: dense int8/);
  });

  it('tells the kernels’ rounding apart', () => {
    expect(found.kernelError[0].relativeError).to.be.within(0, 1e-5);
  });

  it('leaves activations out without inputs', async () => {
    const { layers } = await report(model, rewritten, { inputs: { shapes: { x: [3, IN] } } });
    expect(layers[0].errors.activation).to.equal(null);
  });

  it('refuses two models that have nothing to do with each other', () =>
    expectError(
      () => report(model, model),
      'INVALID_ARGUMENT',
      /Expected an original model and what rewrite made/,
    ));

  describe('renderReport', () => {
    it('is one page with every layer and model, without scripts or links', () => {
      const page = renderReport(found);
      for (const text of [found.layers[0].id, 'dense int8', 'dense int4', 'Quantization alone wins'])
        expect(page).to.contain(text);
      expect(page).to.not.match(/<script|<link|https?:/);
      expect(renderReport(found)).to.equal(page);
    });

    it('escapes names', () => {
      const [layer] = found.layers;
      const page = renderReport({ ...found, layers: [{ ...layer, id: '<b>&"x' }] });
      expect(page).to.contain('&lt;b&gt;&amp;&quot;x').and.not.contain('<b>&');
    });
  });
});
