// Writes an edited model: the file and, where it has one, its data file.
import { existsSync, statSync } from 'node:fs';
import { BlockrankError } from './errors.js';
import { findExternalTensors } from './external-tensors.js';
import type { Model } from './model.js';
import { isSameFile } from './same-file.js';
import { ENTRY, TENSOR } from './schema.js';
import type { TensorStore } from './tensor-store.js';
import { AtomicFile } from './wire/atomic-file.js';
import type { Edit } from './wire/edit.js';
import type { Message } from './wire/message.js';
import { totalLength } from './wire/pieces.js';

/** Protobuf's readers stop at 2 GiB; above this, new weights go to a data file. */
export const INLINE_LIMIT = 1.5e9;

/** Renaming onto a target replaces what is there, so it must be a file, and the source only where that was asked for. */
export function checkTarget(source: string, target: string, overwrite: boolean): void {
  if (existsSync(target) && !statSync(target).isFile())
    throw new BlockrankError('IO', `${target} cannot be written: a folder or a device has that name.`);
  if (!overwrite && isSameFile(source, target))
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `${target} is the source model itself. Write to another file, or allow it with overwrite.`,
    );
}

/** Writes nothing: says early whether `writeModel` could, before hours of work. */
export async function tryTarget(source: string, target: string, overwrite: boolean): Promise<void> {
  checkTarget(source, target, overwrite);
  await (await AtomicFile.create(target)).discard();
}

/** Renders the edit, with the store's tensors as new initializers, into `target`. Returns the bytes of model and data. */
export async function writeModel(
  model: Model,
  edit: Edit,
  target: string,
  store: TensorStore,
  removed: ReadonlySet<Message>,
): Promise<number> {
  const moves = await copyExternalData(model, store, removed);
  store.finish(store.external ? model.sha256() : '');
  for (const [tensor, offset, length] of moves) moveTensor(edit, tensor, store, offset, length);
  edit.append(model.graph.message, store.initializers());
  const pieces = edit.render(model.message);
  const file = await AtomicFile.create(target);
  try {
    await file.writePieces(pieces);
    await store.commit();
    await file.commit(target);
  } finally {
    await file.discard();
  }
  return totalLength(pieces) + store.externalBytes;
}

/** Into the store's file; tensors that the edit removed stay behind. */
async function copyExternalData(model: Model, store: TensorStore, removed: ReadonlySet<Message>) {
  const moves: (readonly [Message, number, number])[] = [];
  for (const tensor of findExternalTensors(model)) {
    if (isWithin(tensor, removed)) continue;
    const range = model.files.range(tensor);
    moves.push([tensor, await store.copy(range), range.end - range.start]);
  }
  return moves;
}

function isWithin(tensor: Message, removed: ReadonlySet<Message>): boolean {
  for (let at: Message | undefined = tensor; at !== undefined; at = at.parent)
    if (removed.has(at)) return true;
  return false;
}

/** Other entries, such as a checksum, still hold. */
function moveTensor(edit: Edit, tensor: Message, store: TensorStore, offset: number, length: number): void {
  for (const entry of tensor.messages(TENSOR.externalData))
    if (['location', 'offset', 'length'].includes(entry.string(ENTRY.key))) edit.remove(tensor, entry.span!);
  edit.append(tensor, store.place(offset, length));
}
