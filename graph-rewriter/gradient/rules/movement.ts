// Operators that move numbers about without changing them.
import onnxProto, { type onnx as Onnx } from 'onnx-proto';
import type { Node } from '../../node.js';
import { NODE } from '../../schema.js';
import { int, ints, string, type Value } from '../builder.js';
import { forEachInput, type Rule, type Rules, type Step } from '../rule.js';

const { onnx } = onnxProto;
/** ScatterElements adds what meets at one place from here on. */
const SCATTER_ADD = 16;

const pass: Rule = (s) => [() => s.g];
const likeInput: Rule = (s) => [() => s.b.reshapeLike(s.g, s.x)];

const transpose: Rule = ({ b, g, node }) => {
  const perm = node.ints('perm');
  const inverse = perm?.map((_, axis) => perm.indexOf(axis));
  return [() => b.op('Transpose', [g], inverse ? [ints('perm', inverse)] : [])];
};

const concat: Rule = (s) => {
  const { b, g, node } = s;
  const axis = node.int('axis', 0);
  let parts: Value[] | undefined;
  return forEachInput(s, (i) => {
    if (node.inputs.length === 1) return g;
    const lengths = () => node.inputs.map((input) => b.length(input, axis));
    parts ??= b.ops('Split', [g, b.op('Concat', lengths(), [int('axis', 0)])], node.inputs.length, [
      int('axis', axis),
    ]);
    return parts[i];
  });
};

const split: Rule = ({ b, g, gradients, node }) => [
  () => {
    const parts = node.outputs.map(
      (output, i) => gradients[i] ?? b.op('Expand', [b.scalar(0, g), b.shape(output)]),
    );
    return b.op('Concat', parts, [int('axis', node.int('axis', 0))]);
  },
];

const expand: Rule = ({ b, g, x }) => [() => b.reduceTo(g, x)];

/** To a floating type: back to x's. */
const cast: Rule = ({ b, g, x }) => [() => b.castLike(g, x)];

/**
 * What picks elements: the operator is run again on the positions 0, 1, 2 … in place of x, and g is added to zeros at the
 * positions that come out.
 */
const pick: Rule = (s) => {
  const { b, g, x } = s;
  return [
    () => {
      const all = b.ints(-1);
      const size = b.op('Size', [x]);
      const positions = b.reshapeLike(b.op('Range', [b.int(0), size, b.int(1)]), x);
      const from = b.reshape(rerun(s, positions), all);
      const zeros = b.op('Expand', [b.scalar(0, g), b.reshape(size, all)]);
      const reduction = b.opset >= SCATTER_ADD ? [string('reduction', 'add')] : [];
      const flat = b.op('ScatterElements', [zeros, from, b.reshape(g, all)], [int('axis', 0), ...reduction]);
      return b.reshapeLike(flat, x);
    },
  ];
};

/** Before opset 16 only where no element can be picked twice. */
const pickWithRepeats: Rule = (s) => (s.b.opset >= SCATTER_ADD ? pick(s) : []);

function rerun({ b, node }: Step, data: Value): Value {
  return b.op(node.opType, [data, ...node.inputs.slice(1)], attributesOf(node));
}

function attributesOf(node: Node): Onnx.IAttributeProto[] {
  return node.message.all(NODE.attribute).map((span) => onnx.AttributeProto.decode(node.message.bytes(span)));
}

export const MOVEMENT: Rules = {
  Identity: pass,
  Dropout: pass,
  Reshape: likeInput,
  Squeeze: likeInput,
  Unsqueeze: likeInput,
  Flatten: likeInput,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Expand: expand,
  Cast: cast,
  CastLike: cast,
  Slice: pick,
  DepthToSpace: pick,
  SpaceToDepth: pick,
  Gather: pickWithRepeats,
  GatherElements: pickWithRepeats,
  GatherND: pickWithRepeats,
  Tile: pickWithRepeats,
};
