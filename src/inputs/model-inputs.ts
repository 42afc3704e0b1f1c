// Names, types and shapes of a model's inputs.
import onnxProto, { type onnx } from 'onnx-proto';
import protobuf from 'protobufjs/minimal.js';
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { readBytes } from './files.js';
import { ELEMENT_TYPES, isNumericType, type NumericType } from './element-types.js';

export interface ModelInput {
  readonly name: string;
  readonly type: NumericType;
  /** A number, or the symbol of a dimension that the model leaves open ('' where it has no name). Null: unknown rank. */
  readonly shape: readonly (number | string)[] | null;
}

/**
 * What must be fed to `session`. onnxruntime-node tells it from 1.22 on; before, the graph's inputs are read from the file.
 * @throws BlockrankError UNSUPPORTED_MODEL for an input that is no tensor of numbers
 */
export async function readModelInputs(
  session: ort.InferenceSession,
  modelPath: string,
): Promise<readonly ModelInput[]> {
  // Absent before 1.22, whatever the declaration says.
  const metadata = session.inputMetadata as readonly ort.InferenceSession.ValueMetadata[] | undefined;
  if (!Array.isArray(metadata)) return readInputsFromFile(modelPath, session.inputNames);
  return metadata.map((input: ort.InferenceSession.ValueMetadata) => {
    if (!input.isTensor || !isNumericType(input.type)) {
      throw unsupported(modelPath, input.name, input.isTensor ? input.type : 'not a tensor');
    }
    // A scalar and an unknown rank both come as []; a feed is then checked by ONNX Runtime alone.
    return { name: input.name, type: input.type, shape: input.shape.length ? input.shape : null };
  });
}

/** The same from the model file: only `graph.input` (ModelProto field 7, GraphProto field 11) is decoded. */
export async function readInputsFromFile(
  modelPath: string,
  names: readonly string[],
): Promise<readonly ModelInput[]> {
  const [graph] = lengthDelimited(await readBytes(modelPath), 7);
  const values = lengthDelimited(graph ?? new Uint8Array(), 11).map((bytes) =>
    onnxProto.onnx.ValueInfoProto.decode(bytes),
  );
  return names.map((name) => {
    const value = values.find((candidate) => candidate.name === name);
    const tensor = value?.type?.tensorType;
    const type = (Object.keys(ELEMENT_TYPES) as NumericType[]).find(
      (key) => ELEMENT_TYPES[key].onnx === tensor?.elemType,
    );
    if (!type) throw unsupported(modelPath, name, tensor ? `data type ${tensor.elemType}` : 'not a tensor');
    return { name, type, shape: tensor?.shape ? (tensor.shape.dim ?? []).map(dimension) : null };
  });
}

function dimension(dim: onnx.TensorShapeProto.IDimension): number | string {
  const value = Number(dim.dimValue ?? 0);
  return dim.dimParam ? dim.dimParam : value > 0 ? value : '';
}

/** The contents of every occurrence of a length-delimited field. */
function lengthDelimited(message: Uint8Array, field: number): Uint8Array[] {
  const reader = protobuf.Reader.create(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === field && (tag & 7) === 2) found.push(reader.bytes());
    else reader.skipType(tag & 7);
  }
  return found;
}

function unsupported(model: string, input: string, found: string): BlockrankError {
  return new BlockrankError(
    'UNSUPPORTED_MODEL',
    `${model}: input '${input}' cannot be fed: expected a tensor of numbers, found ${found}.`,
  );
}
