// A model with an input for each layer that is added to the layer's product: what its errors do can be seen at the outputs.
import { insert } from '../calibration/insert.js';
import { fieldsOf } from '../calibration/carry.js';
import { DataType, int, ints, op, value } from '../calibration/protos.js';
import { findLayers } from '../layers.js';
import type { Model } from '../model.js';
import { dataTypeNumber, GRAPH, NODE } from '../schema.js';
import { Edit } from '../wire/edit.js';
import { delimited, type Piece } from '../wire/pieces.js';

const PREFIX = 'blockrank.probe';
/** Float32, added to the product of layer number `index`; a zero of shape [1] leaves it as it is. */
export const noiseInput = (index: number) => `${PREFIX}.noise.${index}`;
/** Shape of the product, int64. */
export const shapeOutput = (index: number) => `${PREFIX}.shape.${index}`;
/** Mean square of the product, float32. */
export const powerOutput = (index: number) => `${PREFIX}.power.${index}`;

/** Ids of the layers that can be probed, in the order of their numbers: those in bodies cannot. */
export function probedLayers(model: Model, ids: ReadonlySet<string>) {
  return findLayers(model).flatMap(({ info, match }) =>
    ids.has(info.id) && match?.graph === model.graph ? [{ id: info.id, product: match.nodes[0] }] : [],
  );
}

/** `observed` become outputs too, where they are not yet. */
export function withProbes(
  model: Model,
  probed: ReturnType<typeof probedLayers>,
  observed: readonly string[],
): Piece[] {
  const { message, outputs } = model.graph;
  const edit = new Edit();
  const types = new Map(findLayers(model).map(({ info }) => [info.id, info.dtype]));
  probed.forEach(({ id, product }, index) => {
    const plain = `${PREFIX}.plain.${index}`;
    const output = product.message.all(NODE.output)[0];
    edit.replace(product.message, output, delimited(NODE.output, [new TextEncoder().encode(plain)]));
    const type = dataTypeNumber(types.get(id) as Parameters<typeof dataTypeNumber>[0]);
    const part = (role: string) => `${PREFIX}.${role}.${index}`;
    const nodes = [
      op('Cast', [noiseInput(index)], part('cast'), [int('to', type)]),
      { ...op('Add', [plain, part('cast')], product.outputs[0]), name: part('add') },
      op('Shape', [plain], shapeOutput(index)),
      op('Cast', [plain], part('float'), [int('to', DataType.FLOAT)]),
      op('Mul', [part('float'), part('float')], part('square')),
      op('Reshape', [part('square'), `${PREFIX}.flat`], part('row')),
      op('ReduceMean', [part('row')], powerOutput(index), [ints('axes', [0]), int('keepdims', 0)]),
    ];
    edit.append(message, fieldsOf(model.opset < AXES_INPUT ? nodes : withAxesInput(nodes)));
  });
  edit.append(message, fieldsOf(constants()));
  const inputs = probed.map((_, index) => value(noiseInput(index), DataType.FLOAT));
  insert.values(edit, message, GRAPH.input, message.all(GRAPH.input).length, inputs);
  const made = [
    ...probed.flatMap((_, index) => [
      value(shapeOutput(index), DataType.INT64),
      value(powerOutput(index), DataType.FLOAT),
    ]),
    ...observed.filter((name) => !outputs.has(name)).map((name) => ({ name })),
  ];
  insert.values(edit, message, GRAPH.output, message.all(GRAPH.output).length, made);
  return edit.render(model.message);
}

/** ReduceMean takes its axes as an input from here on. */
const AXES_INPUT = 18;

function withAxesInput(nodes: ReturnType<typeof op>[]): ReturnType<typeof op>[] {
  return nodes.map((node) =>
    node.opType === 'ReduceMean'
      ? { ...node, input: [...node.input!, `${PREFIX}.first`], attribute: [int('keepdims', 0)] }
      : node,
  );
}

function constants() {
  const list = (name: string, number: number) =>
    op('Constant', [], `${PREFIX}.${name}`, [
      { name: 'value', type: 4, t: { dataType: DataType.INT64, dims: [1], int64Data: [number] } },
    ]);
  return [list('flat', -1), list('first', 0)];
}
