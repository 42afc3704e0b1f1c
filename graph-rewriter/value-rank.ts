// The axes of a value, as far as the model says.
import type { Graph } from './graph.js';
import { DIMENSION, GRAPH, SHAPE, TENSOR_TYPE, TYPE, VALUE_INFO } from './schema.js';
import type { Message } from './wire/message.js';

/** Undefined where neither the graph nor one around it that defines the value declares a shape. */
export function declaredRank(graph: Graph, name: string): number | undefined {
  return declaredDims(graph, name)?.length;
}

/** Undefined for an axis of open size. */
export function declaredDims(graph: Graph, name: string): (number | undefined)[] | undefined {
  const { message } = graph.definerOf(name);
  const infos = [GRAPH.input, GRAPH.output, GRAPH.valueInfo].flatMap((field) => message.messages(field));
  const info = infos.find((value) => value.string(VALUE_INFO.name) === name);
  const shape = info?.message(VALUE_INFO.type)?.message(TYPE.tensor)?.message(TENSOR_TYPE.shape);
  return shape?.messages(SHAPE.dim).map(declaredSize);
}

/** Undefined for an axis of open size: exporters write 0 and −1 for that, too, and no value has 2⁵³ of anything. */
export function declaredSize(dimension: Message): number | undefined {
  const declared = dimension.clampedInts(DIMENSION.value).at(-1) ?? 0;
  return declared > 0 && declared < Number.MAX_SAFE_INTEGER ? declared : undefined;
}
