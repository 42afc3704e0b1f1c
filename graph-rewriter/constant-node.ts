// The tensor that a Constant node holds, in whichever attribute.
import type { ExternalFiles } from './external.js';
import type { Node } from './node.js';
import { ATTRIBUTE, dataTypeNumber, TENSOR } from './schema.js';
import { Tensor } from './tensor.js';
import { Message } from './wire/message.js';
import { delimited, type Piece, varintField } from './wire/pieces.js';
import { PiecedSource } from './wire/pieced-source.js';

interface Form {
  /** Of the attribute, and of the tensor that is made of it. */
  readonly field: number;
  readonly data: number;
  readonly type: 'float32' | 'int64';
  readonly isList: boolean;
}

const NUMBERS: Readonly<Record<string, Form>> = {
  value_float: { field: ATTRIBUTE.f, data: TENSOR.floatData, type: 'float32', isList: false },
  value_floats: { field: ATTRIBUTE.floats, data: TENSOR.floatData, type: 'float32', isList: true },
  value_int: { field: ATTRIBUTE.i, data: TENSOR.int64Data, type: 'int64', isList: false },
  value_ints: { field: ATTRIBUTE.ints, data: TENSOR.int64Data, type: 'int64', isList: true },
};
const OTHERS = ['sparse_value', 'value_string', 'value_strings'];

/** One message for each node, so that what two readers find is the same tensor. */
const made = new WeakMap<Node, Message>();

/** Undefined where the node is no Constant, or holds no dense tensor of numbers. */
export function constantTensor(
  node: Node | undefined,
  name: string,
  files: ExternalFiles,
): Tensor | undefined {
  if (node === undefined || !node.is('Constant')) return undefined;
  let message = node.attribute('value')?.message(ATTRIBUTE.t) ?? made.get(node);
  if (message === undefined) {
    message = tensorOfNumbers(node);
    if (message !== undefined) made.set(node, message);
  }
  return message && new Tensor(message, name, files);
}

/** The attribute of a Constant node that holds something else. */
export function otherConstantForm(node: Node | undefined): string | undefined {
  return node?.is('Constant') ? OTHERS.find((name) => node.attribute(name) !== undefined) : undefined;
}

function tensorOfNumbers(node: Node): Message | undefined {
  const name = Object.keys(NUMBERS).find((key) => node.attribute(key) !== undefined);
  if (name === undefined) return undefined;
  const { field, data, type, isList } = NUMBERS[name];
  const attribute = node.attribute(name)!;
  const spans = attribute.all(field);
  // proto3 leaves out a number that is 0.
  const zero = new Uint8Array(type === 'float32' ? 4 : 1);
  const numbers: Piece[] =
    spans.length === 0 && !isList
      ? [zero]
      : spans.map(({ start, end }) => ({ source: attribute.source, start, end }));
  const bytes = spans.reduce((sum, { start, end }) => sum + end - start, 0);
  const count = type === 'float32' ? bytes / 4 : attribute.clampedInts(field).length;
  return Message.of(
    new PiecedSource(
      [
        ...(isList ? [varintField(TENSOR.dims, Math.ceil(count))] : []),
        varintField(TENSOR.dataType, dataTypeNumber(type)),
        ...delimited(data, numbers),
      ],
      attribute.source.path,
    ),
  );
}
