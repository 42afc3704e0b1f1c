/** Every failure that a caller can act on. `code` is stable; the message says what was expected and how to fix it. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'INVALID_MODEL'
  | 'UNSUPPORTED_MODEL'
  | 'INVALID_PLAN'
  | 'INVALID_INPUTS'
  | 'EXTERNAL_DATA'
  | 'IO'
  | 'ABORTED'
  | 'FACTORIZATION'
  | 'ORT_NOT_FOUND'
  | 'ORT_UNSUPPORTED'
  | 'NATIVE_MISSING'
  | 'LIBRARY_NOT_FOUND'
  | 'LIBRARY_INVALID'
  | 'LIBRARY_INCOMPATIBLE'
  | 'HOOK_FAILED'
  | 'SESSION';

export class BlockrankError extends Error {
  override readonly name = 'BlockrankError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
