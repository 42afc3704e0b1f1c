// Names functions of a model, and the nodes that call them, by overload: fields that onnx-proto (ONNX 1.10) does not know.
import { FUNCTION, GRAPH, MODEL, NODE } from '../../../graph-rewriter/schema.js';
import { Edit } from '../../../graph-rewriter/wire/edit.js';
import { Message } from '../../../graph-rewriter/wire/message.js';
import { delimited } from '../../../graph-rewriter/wire/pieces.js';
import { BytesSource } from '../../../graph-rewriter/wire/source.js';
import { flatten } from './unknown-fields.js';

export function withOverloads(
  bytes: Uint8Array,
  nodes: readonly string[],
  functions: readonly string[],
): Uint8Array {
  const model = Message.of(new BytesSource(bytes));
  const edit = new Edit();
  const utf8 = (text: string) => new TextEncoder().encode(text);
  const set = (messages: readonly Message[], field: number, overloads: readonly string[]) =>
    messages.forEach((message, i) => {
      if (overloads[i] !== '') edit.append(message, delimited(field, [utf8(overloads[i])]));
    });
  set(model.messages(MODEL.graph)[0].messages(GRAPH.node), NODE.overload, nodes);
  set(model.messages(MODEL.functions), FUNCTION.overload, functions);
  return flatten(edit.render(model));
}
