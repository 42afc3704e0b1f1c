// Puts new elements between those of a repeated field.
import onnxProto, { type onnx as Onnx } from 'onnx-proto';
import type { Edit } from '../wire/edit.js';
import type { Message } from '../wire/message.js';
import { delimited, type Piece } from '../wire/pieces.js';

const { onnx } = onnxProto;

export const insert = {
  /** Inputs or outputs of a node; optional ones that the node leaves out before them get empty names. */
  names(edit: Edit, message: Message, field: number, at: number, names: readonly string[]): void {
    const missing = Math.max(0, at - message.all(field).length);
    const texts = [...Array.from({ length: missing }, () => ''), ...names];
    put(
      edit,
      message,
      field,
      at,
      texts.flatMap((text) => delimited(field, [new TextEncoder().encode(text)])),
    );
  },

  /** Inputs or outputs of a graph. */
  values(
    edit: Edit,
    message: Message,
    field: number,
    at: number,
    values: readonly Onnx.IValueInfoProto[],
  ): void {
    const fields = values.flatMap((value) => delimited(field, [onnx.ValueInfoProto.encode(value).finish()]));
    put(edit, message, field, at, fields);
  },
};

function put(edit: Edit, message: Message, field: number, at: number, pieces: readonly Piece[]): void {
  const next = message.all(field)[at];
  if (next === undefined) edit.append(message, pieces);
  else edit.replace(message, next, [...pieces, { source: message.source, start: next.tag, end: next.end }]);
}
