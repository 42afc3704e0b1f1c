// Writes an edited model: the file and, where it has one, its data file.
import { existsSync, statSync } from 'node:fs';
import { BlockrankError } from './errors.js';
import { type ByteRange, isExternal } from './external.js';
import { findExternalTensors } from './external-tensors.js';
import type { Model } from './model.js';
import { isSameFile } from './same-file.js';
import { ENTRY, GRAPH, TENSOR } from './schema.js';
import type { TensorStore } from './tensor-store.js';
import { AtomicFile } from './wire/atomic-file.js';
import type { Edit } from './wire/edit.js';
import type { Message } from './wire/message.js';
import { totalLength } from './wire/pieces.js';

/** Protobuf's readers stop at 2 GiB; above this, weights go to a data file. */
export const INLINE_LIMIT = 1.5e9;
/** Of a model above the limit: a page. Smaller tensors stay, where shape inference can read them. */
const LARGE = 4096;

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
  inlineLimit = INLINE_LIMIT,
): Promise<number> {
  const isTooLarge = store.external && model.file.size > inlineLimit && edit.isEdited(model.message);
  const tensors = [...findExternalTensors(model), ...(isTooLarge ? largeInitializers(model) : [])];
  const moves = await copyData(model, tensors, store, removed);
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
async function copyData(
  model: Model,
  tensors: readonly Message[],
  store: TensorStore,
  removed: ReadonlySet<Message>,
) {
  const moves: (readonly [Message, number, number])[] = [];
  for (const tensor of tensors) {
    if (isWithin(tensor, removed)) continue;
    const range = isExternal(tensor) ? model.files.range(tensor) : inlineRange(tensor);
    moves.push([tensor, await store.copy(range), range.end - range.start]);
  }
  return moves;
}

/** Of the main graph: not every runtime reads other tensors from a data file. */
function largeInitializers({ graph }: Model): Message[] {
  return graph.message.messages(GRAPH.initializer).filter((tensor) => {
    const raw = tensor.all(TENSOR.rawData);
    return !isExternal(tensor) && raw.length === 1 && raw[0].end - raw[0].start >= LARGE;
  });
}

function inlineRange(tensor: Message): ByteRange {
  const [{ start, end }] = tensor.all(TENSOR.rawData);
  return { source: tensor.source, start, end };
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
  if (isExternal(tensor)) return edit.append(tensor, store.place(offset, length));
  edit.remove(tensor, tensor.all(TENSOR.rawData)[0]);
  edit.append(tensor, store.reference(offset, length));
}
