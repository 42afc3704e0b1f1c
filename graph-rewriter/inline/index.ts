// Opens a model with the calls of its functions that hold matrix products replaced by their bodies, as every runtime does when it
// loads the model: each call is then a layer of its own, with the weights that it passes.
import { opsetField } from '../encode.js';
import type { Graph } from '../graph.js';
import { DOMAIN, functionKey, Model } from '../model.js';
import { Names } from '../names.js';
import type { Node } from '../node.js';
import { isProduct } from '../rules/index.js';
import { ATTRIBUTE, FUNCTION, GRAPH, isStandardDomain, MODEL, OPSET, TENSOR } from '../schema.js';
import { Edit } from '../wire/edit.js';
import type { Message } from '../wire/message.js';
import { delimited } from '../wire/pieces.js';
import { PiecedSource } from '../wire/pieced-source.js';
import { inlineCall, setString } from './call.js';

/** What all calls may grow to: a small file can ask for any number of nodes. */
const MAX_NODES = 100_000;

/** Nothing is written: the model that is returned is read through the edits. */
export function openModel(path: string): Model {
  const model = Model.open(path);
  try {
    return inlineProducts(model);
  } catch (error) {
    model.close();
    throw error;
  }
}

function inlineProducts(original: Model): Model {
  if (inlinedNodes(original) > MAX_NODES) return original;
  const shared = new Map<string, Map<string, string>>();
  for (let model = original; ;) {
    const wanted = inlinable(model);
    const calls = model.graph.within().flatMap((graph) => callsIn(graph, wanted));
    if (calls.length === 0) return model === original ? model : withoutUncalled(model, [...shared.keys()]);
    model = inlineOnce(model, calls, wanted, shared);
  }
}

/** Infinite where functions call themselves. */
function inlinedNodes(model: Model): number {
  const wanted = inlinable(model);
  const known = new Map<Graph, number>();
  const count = (root: Graph): number => {
    if (!known.has(root)) {
      known.set(root, Infinity);
      const graphs = root.within();
      const calls = graphs.flatMap((graph) => callsIn(graph, wanted));
      const own = graphs.reduce((sum, { nodes }) => sum + nodes.length, 0);
      known.set(
        root,
        calls.reduce((sum, { key }) => sum + count(wanted.get(key)!), own),
      );
    }
    return known.get(root)!;
  };
  return wanted.size === 0 ? 0 : count(model.graph);
}

interface Call {
  readonly graph: Graph;
  readonly node: Node;
  readonly key: string;
}

function callsIn(graph: Graph, functions: ReadonlyMap<string, Graph>): Call[] {
  return graph.nodes
    .map((node) => ({ graph, node, key: functionKey(node.domain, node.opType, node.overload) }))
    .filter(({ key }) => functions.has(key));
}

/** The functions that hold products, themselves or in functions that they call, at the model's own opsets. */
function inlinable(model: Model): ReadonlyMap<string, Graph> {
  const candidates = [...model.functions].filter(
    ([, body]) => body.message.string(FUNCTION.domain) !== DOMAIN && !hasOtherOpsets(model, body),
  );
  const found = new Map(
    candidates.filter(([, body]) => body.within().some(({ nodes }) => nodes.some(isProduct))),
  );
  for (let before = -1; before < found.size;) {
    before = found.size;
    for (const [key, body] of candidates)
      if (body.within().some((graph) => callsIn(graph, found).length > 0)) found.set(key, body);
  }
  return found;
}

function hasOtherOpsets(model: Model, body: Graph): boolean {
  const versions = opsets(model.message, MODEL.opsetImport);
  return [...opsets(body.message, FUNCTION.opsetImport)].some(
    ([domain, version]) => (versions.get(domain) ?? version) !== version,
  );
}

function opsets(message: Message, field: number): Map<string, number> {
  return new Map(
    message.messages(field).map((opset) => {
      const domain = opset.string(OPSET.domain);
      return [isStandardDomain(domain) ? '' : domain, opset.int(OPSET.version)];
    }),
  );
}

function inlineOnce(
  model: Model,
  calls: readonly Call[],
  functions: ReadonlyMap<string, Graph>,
  shared: Map<string, Map<string, string>>,
): Model {
  const edit = new Edit();
  const names = new Names(model.graph);
  for (const { graph, node, key } of calls) {
    const body = functions.get(key)!;
    if (!shared.has(key)) shared.set(key, shareConstants(edit, model, body, key, names));
    edit.replace(graph.message, node.message.span!, inlineCall(node, body, shared.get(key)!, names));
  }
  const versions = opsets(model.message, MODEL.opsetImport);
  for (const key of new Set(calls.map((call) => call.key)))
    for (const [domain, version] of opsets(functions.get(key)!.message, FUNCTION.opsetImport))
      if (!versions.has(domain)) {
        versions.set(domain, version);
        edit.append(model.message, opsetField(domain, version));
      }
  return edited(model, edit);
}

/** Constants of the body become initializers of the main graph, once for all calls. */
function shareConstants(
  edit: Edit,
  model: Model,
  body: Graph,
  key: string,
  names: Names,
): Map<string, string> {
  const shared = new Map<string, string>();
  for (const node of body.nodes) {
    const tensor = node.is('Constant') ? node.attribute('value')?.message(ATTRIBUTE.t) : undefined;
    const [output] = node.outputs;
    if (tensor === undefined || body.outputs.has(output)) continue;
    const name = names.unique(`${key}/${output}`);
    shared.set(output, name);
    const copy = new Edit();
    setString(copy, tensor, TENSOR.name, name);
    edit.append(model.graph.message, delimited(GRAPH.initializer, copy.render(tensor)));
  }
  return shared;
}

/** Of the functions that were inlined, what is left without a caller goes. */
function withoutUncalled(model: Model, keys: readonly string[]): Model {
  const inlined = new Map(keys.map((key) => [key, model.functions.get(key)!]));
  const others = [...model.functions].filter(([key]) => !inlined.has(key)).map(([, body]) => body);
  const graphs = [model.graph, ...others].flatMap((graph) => graph.within());
  for (const graph of graphs)
    for (const { key } of callsIn(graph, inlined)) {
      graphs.push(...inlined.get(key)!.within());
      inlined.delete(key);
    }
  const edit = new Edit();
  for (const body of inlined.values()) edit.remove(model.message, body.message.span!);
  return edited(model, edit);
}

function edited(model: Model, edit: Edit): Model {
  return model.readThrough(new PiecedSource(edit.render(model.message), model.source.path));
}
