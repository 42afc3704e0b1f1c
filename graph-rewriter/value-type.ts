// Element types that a graph declares for its values.
import type { Graph } from './graph.js';
import { dataTypeName, GRAPH, TENSOR_TYPE, TYPE, VALUE_INFO } from './schema.js';

/** By name, for inputs, outputs and the values that carry type notes. */
export function declaredTypes(graph: Graph): Map<string, string> {
  const infos = [GRAPH.input, GRAPH.output, GRAPH.valueInfo].flatMap((field) =>
    graph.message.messages(field),
  );
  return new Map(
    infos.flatMap((info) => {
      const tensor = info.message(VALUE_INFO.type)?.message(TYPE.tensor);
      return tensor
        ? [[info.string(VALUE_INFO.name), dataTypeName(tensor.int(TENSOR_TYPE.elemType))] as const]
        : [];
    }),
  );
}
