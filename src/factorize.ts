// `factorize` for callers of the package: on every core by the addon's own loops, where those are there.
import { factorize as fit } from '../graph-rewriter/factorize/index.js';
import type { Factorization, FactorizeRequest } from '../graph-rewriter/factorize/types.js';
import { engineFor } from './device.js';

/**
 * Factors of a dense weight in one of the structures of docs/operators.md, fitted to the weight alone or, given a
 * covariance, to what it does to its inputs. Formulas, cost and measurements: docs/factorization.md.
 *
 * @throws BlockrankError INVALID_ARGUMENT for sizes, options and covariances that make no sense; FACTORIZATION for a
 *   weight that is not finite, blocks that do not fit it and a rank that would not shrink it (the message has the
 *   largest that would); ABORTED; ORT_NOT_FOUND.
 */
export function factorize(request: FactorizeRequest): Promise<Factorization> {
  return fit({ ...request, engine: request.engine ?? engineFor({}) });
}
