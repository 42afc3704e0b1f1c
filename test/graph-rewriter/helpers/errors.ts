import { expect } from 'chai';
import { BlockrankError, type ErrorCode } from '../../../graph-rewriter/errors.js';

/** Expects a BlockrankError of this code whose message has the words. */
export async function expectError(action: () => unknown, code: ErrorCode, words: RegExp): Promise<void> {
  let error: unknown;
  try {
    await action();
  } catch (thrown) {
    error = thrown;
  }
  expect(error, 'an error').to.be.instanceOf(BlockrankError);
  expect((error as BlockrankError).code).to.equal(code);
  expect((error as BlockrankError).message).to.match(words);
}
