// Names, types and shapes of a model's inputs.
import onnxProto, { type onnx } from 'onnx-proto';
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { GRAPH, MODEL, TENSOR, VALUE_INFO } from '../../graph-rewriter/schema.js';
import { Message } from '../../graph-rewriter/wire/message.js';
import { FileSource } from '../../graph-rewriter/wire/source.js';
import { ELEMENT_TYPES, isNumericType, type NumericType } from './element-types.js';

export interface ModelInput {
  readonly name: string;
  readonly type: NumericType;
  /** A number, or the symbol of a dimension that the model leaves open ('' where it has no name). Null: unknown rank. */
  readonly shape: readonly (number | string)[] | null;
}

/**
 * What must be fed to `session`. onnxruntime-node tells it from 1.22 on; before, it is read from the file.
 * @throws BlockrankError UNSUPPORTED_MODEL for an input that is no tensor of numbers
 */
export function readModelInputs(session: ort.InferenceSession, modelPath: string): readonly ModelInput[] {
  // Absent before 1.22, whatever the declaration says.
  const metadata = session.inputMetadata as readonly ort.InferenceSession.ValueMetadata[] | undefined;
  if (!metadata) return readGraphInputs(modelPath);
  return metadata.map((input) => {
    if (!input.isTensor || !isNumericType(input.type)) {
      throw unsupported(modelPath, input.name, input.isTensor ? input.type : 'not a tensor');
    }
    // A scalar and an unknown rank both come as []; a feed is then checked by ONNX Runtime alone.
    return { name: input.name, type: input.type, shape: input.shape.length ? input.shape : null };
  });
}

/**
 * The same from the model file alone, its weights skipped. Before IR 4 initializers are listed as inputs too: left out.
 * @throws BlockrankError UNSUPPORTED_MODEL as above, INVALID_MODEL, IO
 */
export function readGraphInputs(modelPath: string): readonly ModelInput[] {
  return withGraph(modelPath, (graph) => {
    const initialized = new Set(
      graph.messages(GRAPH.initializer).map((tensor) => tensor.string(TENSOR.name)),
    );
    return graph
      .all(GRAPH.input)
      .map((span) => onnxProto.onnx.ValueInfoProto.decode(graph.bytes(span)))
      .filter((value) => !initialized.has(value.name))
      .map((value) => describeInput(modelPath, value));
  });
}

/** Names of the model's outputs, from the file alone. @throws BlockrankError INVALID_MODEL, IO */
export function readGraphOutputs(modelPath: string): readonly string[] {
  return withGraph(modelPath, (graph) =>
    graph.messages(GRAPH.output).map((output) => output.string(VALUE_INFO.name)),
  );
}

function withGraph<T>(modelPath: string, read: (graph: Message) => readonly T[]): readonly T[] {
  const source = new FileSource(modelPath);
  try {
    const graph = Message.of(source).message(MODEL.graph);
    return graph ? read(graph) : [];
  } finally {
    source.close();
  }
}

function describeInput(modelPath: string, { name, type }: onnx.ValueInfoProto): ModelInput {
  const tensor = type?.tensorType;
  const element = (Object.keys(ELEMENT_TYPES) as NumericType[]).find(
    (key) => ELEMENT_TYPES[key].onnx === tensor?.elemType,
  );
  if (!element) throw unsupported(modelPath, name, tensor ? `data type ${tensor.elemType}` : 'not a tensor');
  return { name, type: element, shape: tensor?.shape ? (tensor.shape.dim ?? []).map(dimension) : null };
}

function dimension(dim: onnx.TensorShapeProto.IDimension): number | string {
  const value = Number(dim.dimValue ?? 0);
  return dim.dimParam ? dim.dimParam : value > 0 ? value : '';
}

function unsupported(model: string, input: string, found: string): BlockrankError {
  return new BlockrankError(
    'UNSUPPORTED_MODEL',
    `${model}: input '${input}' cannot be fed: expected a tensor of numbers, found ${found}.`,
  );
}
