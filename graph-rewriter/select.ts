// Globs on the names of nodes and weights. `*` also matches the slashes that exporters put into names.
import picomatch from 'picomatch';
import { BlockrankError } from './errors.js';
import type { LayerInfo, PlanOptions } from './types.js';

/** Which layers the options ask for. Throws INVALID_ARGUMENT for an include that names nothing, which is a typing mistake. */
export function selector(layers: readonly LayerInfo[], options: PlanOptions): (layer: LayerInfo) => boolean {
  const included = options.include?.map(matcher);
  const excluded = (options.exclude ?? []).map(matcher);
  options.include?.forEach((pattern, i) => {
    if (!layers.some(included![i]))
      throw new BlockrankError(
        'INVALID_ARGUMENT',
        `No matrix product, and no weight of one, is called '${pattern}'. 'inspect' lists the names.`,
      );
  });
  return (layer) =>
    (included === undefined || included.some((matches) => matches(layer))) &&
    !excluded.some((matches) => matches(layer));
}

function matcher(pattern: string): (layer: LayerInfo) => boolean {
  const isMatch = picomatch(pattern, { bash: true, dot: true });
  return (layer) => [layer.id, layer.node, layer.weight].some((name) => name === pattern || isMatch(name));
}
