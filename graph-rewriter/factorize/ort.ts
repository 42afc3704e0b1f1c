import type * as Ort from 'onnxruntime-node';
import { BlockrankError } from '../errors.js';

/** onnxruntime-node, a peer dependency that is loaded when first needed. */
export async function importOrt(): Promise<typeof Ort> {
  try {
    return await import('onnxruntime-node');
  } catch (cause) {
    throw new BlockrankError(
      'ORT_NOT_FOUND',
      'onnxruntime-node could not be imported; install it: npm install onnxruntime-node',
      { cause },
    );
  }
}
