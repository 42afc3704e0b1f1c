// The public surface of blockrank: everything that users may rely on is exported here, and nothing else.
export { BlockrankError, type ErrorCode } from '../graph-rewriter/errors.js';
