import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import onnxProto from 'onnx-proto';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { GRAPH, MODEL } from '../../graph-rewriter/schema.js';
import { Edit } from '../../graph-rewriter/wire/edit.js';
import { Message } from '../../graph-rewriter/wire/message.js';
import { delimited } from '../../graph-rewriter/wire/pieces.js';
import { BytesSource } from '../../graph-rewriter/wire/source.js';
import {
  B,
  IN,
  layerModel,
  OUT,
  rewriteAndCompare,
  rewriteAndRun,
  W,
  weightTensor,
} from './helpers/layer-model.js';
import { encodeModel, node, readModel, tensor, valueInfo } from './helpers/onnx.js';
import { random } from './helpers/reference.js';
import { runModel } from './helpers/run.js';
import { flatten } from './helpers/unknown-fields.js';
import { rewriteKnown, save } from './helpers/workspace.js';

const { onnx: proto } = onnxProto;
const NEWEST_OPSET = 25;
const NEWEST_IR = 12;
const product = node('MatMul', ['x', 'w'], ['p'], {}, { name: 'fc' });
const bias = node('Add', ['p', 'b'], ['v']);
const relu = node('Relu', ['v'], ['y']);
const initializers = [weightTensor('inOut'), tensor('b', [OUT], B)];

describe('versions of ONNX', () => {
  for (let opset = 7; opset <= NEWEST_OPSET; opset++)
    it(`of opset ${opset}: MatMul, Add and Relu, and Gemm`, async () => {
      const { results } = await rewriteAndCompare({ nodes: [product, bias, relu], initializers, opset });
      expect(results[0].result?.op).to.equal('BlastMatMulRelu');
      await rewriteAndCompare({
        nodes: [node('Gemm', ['x', 'w', 'b'], ['y'])],
        initializers,
        opset,
        leading: [4],
      });
    });

  for (let irVersion = 3; irVersion <= NEWEST_IR; irVersion++)
    it(`of IR ${irVersion}`, async () => {
      const listed = [valueInfo('w', [IN, OUT]), valueInfo('b', [OUT])];
      const inputs = [valueInfo('x', ['d0', 'd1', IN]), ...(irVersion < 4 ? listed : [])];
      const { target } = await rewriteAndCompare({
        nodes: [product, bias, relu],
        initializers,
        inputs,
        irVersion,
      });
      expect(Number(readModel(target).irVersion)).to.equal(Math.max(irVersion, 8));
    });
});

describe('what a model may leave out', () => {
  const feeds = { x: { dims: [2, 3, IN], data: random(6 * IN, 1) } };

  it('shapes of inputs, outputs and values', async () => {
    const open = (name: string) => ({ name, type: { tensorType: { elemType: 1 } } });
    const bytes = layerModel({
      nodes: [product, bias, relu],
      initializers,
      inputs: [open('x')],
      outputs: [open('y')],
    });
    await rewriteAndRun(save(bytes), feeds, { w: W });
  });

  it('names of nodes, of the graph and of the producer', async () => {
    const nodes = [product, bias, relu].map((n) => ({ ...n, name: '' }));
    const bytes = proto.ModelProto.encode({
      irVersion: 8,
      opsetImport: [{ version: 17 }],
      graph: {
        name: 'g',
        node: nodes,
        input: [valueInfo('x', ['n', 'm', IN])],
        output: [valueInfo('y', ['n', 'm', OUT])],
        initializer: [...initializers],
      },
    }).finish();
    const { results } = await rewriteAndRun(save(bytes), feeds, { w: W });
    expect(results[0].layer).to.include({ id: 'MatMul#0', node: '' });
  });
});

describe('metadata', () => {
  it('that is no text, such as a zipped file, is copied as it is', async () => {
    const zipped = gzipSync('{"labels": ["cat", "dog"]}');
    const prop = [
      ...delimited(1, [new TextEncoder().encode('config.gz')]),
      ...delimited(2, [Uint8Array.from(zipped)]),
    ];
    const field = flatten(delimited(MODEL.metadataProps, prop));
    const plain = layerModel({ nodes: [product, bias, relu], initializers });
    const source = save(new Uint8Array([...plain, ...field]));
    const { target } = await rewriteKnown(source, { w: W });
    const written = readFileSync(target);
    expect(written.indexOf(field)).to.be.greaterThan(0);
    const feeds = { x: { dims: [2, 3, IN], data: random(6 * IN, 1) } };
    expect((await runModel(target, feeds)).y.dims).to.deep.equal([2, 3, OUT]);
  });
});

describe('notes on quantization', () => {
  /** An annotation that names a scale for each of the tensors. */
  function annotated(bytes: Uint8Array, notes: Readonly<Record<string, string>>): Uint8Array {
    const model = Message.of(new BytesSource(bytes));
    const edit = new Edit();
    for (const [tensorName, value] of Object.entries(notes)) {
      const note = { tensorName, quantParameterTensorNames: [{ key: 'SCALE_TENSOR', value }] };
      const message = proto.TensorAnnotation.encode(note).finish();
      edit.append(model.messages(MODEL.graph)[0], delimited(GRAPH.quantizationAnnotation, [message]));
    }
    return flatten(edit.render(model));
  }

  it('go with the tensor that they are about; scales that others name stay', async () => {
    const scale = (name: string) => tensor(name, [], [0.5]);
    const plain = layerModel({
      nodes: [
        node('Mul', ['x', 'kept'], ['r']),
        node('MatMul', ['r', 'w'], ['p'], {}, { name: 'fc' }),
        node('Mul', ['p', 'other'], ['y']),
      ],
      initializers: [weightTensor('inOut'), scale('kept'), scale('other'), scale('unread')],
    });
    const source = save(annotated(plain, { w: 'kept', r: 'unread' }));
    const { target } = await rewriteKnown(source, { w: W });
    const { graph } = readModel(target);
    expect(graph!.quantizationAnnotation!.map((note) => note.tensorName)).to.deep.equal(['r']);
    expect(graph!.initializer!.map((t) => t.name)).to.include.members(['kept', 'unread', 'other']);
    expect((await inspectModel(source)).layers[0].reason).to.equal(undefined);
  });
});

describe('the interface of a rewritten model', () => {
  it('keeps names, types, symbols and fixed sizes of every input and output', async () => {
    const bytes = encodeModel({
      nodes: [product, node('Shape', ['ids'], ['s']), node('Relu', ['p'], ['y'])],
      inputs: [valueInfo('x', ['batch', 5, IN]), valueInfo('ids', ['batch', 'past + 1'], 'int64')],
      outputs: [valueInfo('y', ['batch', 5, OUT]), valueInfo('s', [2], 'int64')],
      initializers,
    });
    const source = save(bytes);
    const { target } = await rewriteKnown(source, { w: W });
    const io = (path: string) => {
      const { graph } = readModel(path);
      return [graph!.input, graph!.output].map((infos) =>
        infos!.map((info) => proto.ValueInfoProto.encode(info).finish()),
      );
    };
    expect(io(target)).to.deep.equal(io(source));
    const changed = save(
      encodeModel({
        nodes: [relu],
        inputs: [valueInfo('v', [1])],
        outputs: [valueInfo('y', [1])],
      }),
    );
    expect(io(changed)).not.to.deep.equal(io(source));
  });
});
