// What a rewrite changes outside of the graph's nodes: versions, functions, metadata.
import type { onnx } from 'onnx-proto';
import { functionField, metadataField, opsetField } from './encode.js';
import { DOMAIN, type Model } from './model.js';
import { ENTRY, FUNCTION, GRAPH, MODEL, OPSET, VALUE_INFO } from './schema.js';
import type { Edit } from './wire/edit.js';
import { varintField } from './wire/pieces.js';

/** Model-local functions came with this IR version. */
const FUNCTION_IR = 8;
const METADATA = 'blockrank.';

/** Declares our domain and carries a function for each operator used. */
export function addFunctions(edit: Edit, model: Model, functions: readonly onnx.IFunctionProto[]): void {
  raiseIrVersion(edit, model);
  edit.append(model.message, [...opsetField(DOMAIN, 1), ...functions.flatMap(functionField)]);
}

/** Undoes `addFunctions`. The IR version stays: every runtime that reads the new one reads the old operators in it. */
export function removeFunctions(edit: Edit, model: Model): void {
  const { message } = model;
  for (const body of message.messages(MODEL.functions))
    if (body.string(FUNCTION.domain) === DOMAIN) edit.remove(message, body.span!);
  for (const opset of message.messages(MODEL.opsetImport))
    if (opset.string(OPSET.domain) === DOMAIN) edit.remove(message, opset.span!);
}

/** Replaces all of our entries; others stay. */
export function setMetadata(edit: Edit, model: Model, entries: Readonly<Record<string, string>>): void {
  for (const entry of model.message.messages(MODEL.metadataProps))
    if (entry.string(ENTRY.key).startsWith(METADATA)) edit.remove(model.message, entry.span!);
  const fields = Object.entries(entries).flatMap(([key, value]) => metadataField(METADATA + key, value));
  edit.append(model.message, fields);
}

function raiseIrVersion(edit: Edit, model: Model): void {
  if (model.irVersion >= FUNCTION_IR) return;
  const span = model.message.all(MODEL.irVersion).at(-1)!;
  edit.replace(model.message, span, [varintField(MODEL.irVersion, FUNCTION_IR)]);
  if (model.irVersion >= 4) return;
  // Before IR 4 initializers had to be listed as inputs too; from 4 on that would make them inputs for the caller.
  for (const input of model.graph.message.messages(GRAPH.input))
    if (model.graph.initializers.has(input.string(VALUE_INFO.name)))
      edit.remove(model.graph.message, input.span!);
}
