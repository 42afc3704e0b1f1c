// Finds every tensor of a model whose data lies in another file, wherever tensors can stand.
import { isExternal } from './external.js';
import type { Model } from './model.js';
import { ATTRIBUTE, FUNCTION, GRAPH, MODEL, NODE, SPARSE_TENSOR, TRAINING_INFO } from './schema.js';
import type { Message } from './wire/message.js';

export function findExternalTensors(model: Model): Message[] {
  const { message } = model;
  const graphs = [
    ...message.messages(MODEL.graph),
    ...message
      .messages(MODEL.trainingInfo)
      .flatMap((info) => [
        ...info.messages(TRAINING_INFO.initialization),
        ...info.messages(TRAINING_INFO.algorithm),
      ]),
  ];
  const functions = message.messages(MODEL.functions);
  const tensors = [
    ...graphs.flatMap(tensorsOfGraph),
    ...functions.flatMap((body) => body.messages(FUNCTION.node).flatMap(tensorsOfNode)),
  ];
  return tensors.filter(isExternal);
}

/** Bytes of the data files' parts that the model uses, each part once. */
export function externalBytes(model: Model): number {
  const parts = new Map<string, number>();
  for (const tensor of findExternalTensors(model)) {
    const { source, start, end } = model.files.range(tensor);
    parts.set(`${start}…${end} of ${source.path}`, end - start);
  }
  return [...parts.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function tensorsOfGraph(graph: Message): Message[] {
  return [
    ...graph.messages(GRAPH.initializer),
    ...graph.messages(GRAPH.sparseInitializer).flatMap(tensorsOfSparse),
    ...graph.messages(GRAPH.node).flatMap(tensorsOfNode),
  ];
}

function tensorsOfNode(node: Message): Message[] {
  return node
    .messages(NODE.attribute)
    .flatMap((attribute) => [
      ...attribute.messages(ATTRIBUTE.t),
      ...attribute.messages(ATTRIBUTE.tensors),
      ...attribute.messages(ATTRIBUTE.g).flatMap(tensorsOfGraph),
      ...attribute.messages(ATTRIBUTE.graphs).flatMap(tensorsOfGraph),
      ...attribute.messages(ATTRIBUTE.sparseTensor).flatMap(tensorsOfSparse),
      ...attribute.messages(ATTRIBUTE.sparseTensors).flatMap(tensorsOfSparse),
    ]);
}

function tensorsOfSparse(sparse: Message): Message[] {
  return [...sparse.messages(SPARSE_TENSOR.values), ...sparse.messages(SPARSE_TENSOR.indices)];
}
