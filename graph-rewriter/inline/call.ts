// One call of a model's function as the nodes of its body: values renamed, attributes filled in, everything else as it is.
import type { Graph } from '../graph.js';
import type { Names } from '../names.js';
import type { Node } from '../node.js';
import { ATTRIBUTE, FUNCTION, GRAPH, NODE, SPARSE_TENSOR, TENSOR, VALUE_INFO } from '../schema.js';
import { Edit } from '../wire/edit.js';
import type { Message } from '../wire/message.js';
import { delimited, type Piece } from '../wire/pieces.js';

/** Names that the constants of a function have in the main graph, by their names in its body. */
export type SharedNames = ReadonlyMap<string, string>;

/** Fields of a graph: the nodes that stand for `call`. */
export function inlineCall(call: Node, body: Graph, shared: SharedNames, names: Names): Piece[] {
  const { message } = body;
  const values = new Map(shared);
  const formal = message.strings(FUNCTION.input);
  formal.forEach((name, i) => values.set(name, call.inputs[i] ?? ''));
  const passed: Piece[] = [];
  message.strings(FUNCTION.output).forEach((name, i) => {
    const output = call.outputs[i] ?? '';
    if (formal.includes(name)) {
      if (output !== '') passed.push(...identity(values.get(name)!, output));
    } else if (output !== '') values.set(name, output);
  });
  const inlining = new Inlining(call, body, values, names);
  const nodes = body.nodes.filter(({ outputs }) => !outputs.some((name) => shared.has(name)));
  return [...nodes.flatMap((node) => inlining.node(node)), ...passed];
}

class Inlining {
  constructor(
    private readonly call: Node,
    private readonly body: Graph,
    private readonly values: Map<string, string>,
    private readonly names: Names,
  ) {}

  node(node: Node): Piece[] {
    const edit = new Edit();
    this.edit(edit, node.message);
    setString(edit, node.message, NODE.name, `${this.call.id}/${node.id}`);
    return delimited(GRAPH.node, edit.render(node.message));
  }

  private edit(edit: Edit, node: Message): void {
    this.rename(edit, node, NODE.input);
    this.rename(edit, node, NODE.output);
    for (const attribute of node.messages(NODE.attribute)) {
      const reference = attribute.string(ATTRIBUTE.refName);
      if (reference !== '') this.resolve(edit, node, attribute, reference);
      for (const graph of [...attribute.messages(ATTRIBUTE.g), ...attribute.messages(ATTRIBUTE.graphs)])
        this.editGraph(edit, graph);
    }
  }

  private editGraph(edit: Edit, graph: Message): void {
    graph.messages(GRAPH.node).forEach((node) => this.edit(edit, node));
    for (const field of [GRAPH.input, GRAPH.output, GRAPH.valueInfo])
      for (const info of graph.messages(field)) this.rename(edit, info, VALUE_INFO.name);
    for (const tensor of graph.messages(GRAPH.initializer)) this.rename(edit, tensor, TENSOR.name);
    for (const sparse of graph.messages(GRAPH.sparseInitializer))
      for (const tensor of sparse.messages(SPARSE_TENSOR.values)) this.rename(edit, tensor, TENSOR.name);
  }

  private rename(edit: Edit, message: Message, field: number): void {
    for (const span of message.all(field)) {
      const name = new TextDecoder().decode(message.bytes(span));
      edit.replace(message, span, stringField(field, this.value(name)));
    }
  }

  private value(name: string): string {
    if (name === '') return '';
    let value = this.values.get(name);
    if (value === undefined) {
      value = this.names.unique(`${this.call.id}/${name}`);
      this.values.set(name, value);
    }
    return value;
  }

  /** The caller's attribute, or the function's default, under the name that the node has for it. */
  private resolve(edit: Edit, node: Message, attribute: Message, reference: string): void {
    const defaults = this.body.message.messages(FUNCTION.attributeDefault);
    const given =
      this.call.attribute(reference) ?? defaults.find((a) => a.string(ATTRIBUTE.name) === reference);
    if (given === undefined) {
      edit.remove(node, attribute.span!);
      return;
    }
    const copy = new Edit();
    setString(copy, given, ATTRIBUTE.name, attribute.string(ATTRIBUTE.name));
    edit.replace(node, attribute.span!, delimited(NODE.attribute, copy.render(given)));
  }
}

export function setString(edit: Edit, message: Message, field: number, value: string): void {
  for (const span of message.all(field)) edit.remove(message, span);
  edit.append(message, stringField(field, value));
}

function stringField(field: number, value: string): Piece[] {
  return delimited(field, [new TextEncoder().encode(value)]);
}

/** An output of the function that is an input of it. */
function identity(from: string, to: string): Piece[] {
  return delimited(GRAPH.node, [
    ...stringField(NODE.input, from),
    ...stringField(NODE.output, to),
    ...stringField(NODE.opType, 'Identity'),
  ]);
}
