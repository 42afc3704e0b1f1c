// Moves initializers of a model to data files, as exporters do.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { entry } from '../../../graph-rewriter/encode.js';
import { GRAPH, MODEL, TENSOR } from '../../../graph-rewriter/schema.js';
import { Edit } from '../../../graph-rewriter/wire/edit.js';
import { Message } from '../../../graph-rewriter/wire/message.js';
import { delimited, varintField } from '../../../graph-rewriter/wire/pieces.js';
import { BytesSource } from '../../../graph-rewriter/wire/source.js';
import { flatten } from './unknown-fields.js';
import { save, workspace } from './workspace.js';

export interface Placement {
  readonly location: string;
  readonly offset?: number;
  /** Left out of the file: then the data runs to the end. */
  readonly length?: number | undefined;
  readonly checksum?: string;
}

/** Writes the model and its data files into one folder; `place` says where each initializer goes. */
export function saveExternal(
  bytes: Uint8Array,
  place: (name: string, length: number) => Placement | undefined,
  folder = workspace(),
): string {
  const model = Message.of(new BytesSource(bytes));
  const edit = new Edit();
  const files = new Map<string, { offset: number; data: Uint8Array }[]>();
  for (const tensor of model.messages(MODEL.graph)[0].messages(GRAPH.initializer)) {
    const raw = tensor.all(TENSOR.rawData)[0];
    const data = tensor.bytes(raw).slice();
    const placement = place(tensor.string(TENSOR.name), data.length);
    if (placement === undefined) continue;
    const { location, offset, length, checksum } = placement;
    files.set(location, [...(files.get(location) ?? []), { offset: offset ?? 0, data }]);
    const entries = { location, offset, length, checksum };
    edit.remove(tensor, raw);
    for (const [key, value] of Object.entries(entries))
      if (value !== undefined)
        edit.append(tensor, delimited(TENSOR.externalData, [entry(key, String(value))]));
    edit.append(tensor, [varintField(TENSOR.dataLocation, 1)]);
  }
  for (const [location, parts] of files) writeFileSync(join(folder, location), join1(parts));
  return save(flatten(edit.render(model)), 'model.onnx', folder);
}

function join1(parts: readonly { offset: number; data: Uint8Array }[]): Uint8Array {
  const size = Math.max(...parts.map(({ offset, data }) => offset + data.length));
  const bytes = new Uint8Array(size).fill(0xee);
  for (const { offset, data } of parts) bytes.set(data, offset);
  return bytes;
}
