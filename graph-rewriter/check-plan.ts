// A plan may have been edited by hand: everything that it asks for is checked against the model before work begins.
import { checkBlocks } from './blocks.js';
import { allowedComputes, computeFits } from './compute.js';
import { BlockrankError } from './errors.js';
import type { Layer } from './layers.js';
import { largestShrinkingRank } from './structure-size.js';
import type { LayerPlan, RewritePlan } from './types.js';

/** Cast takes bfloat16 from this opset on. */
export const BFLOAT16_OPSET = 13;

/** The plan of each layer, in the model's order; layers that it does not name are kept. Throws INVALID_PLAN. */
export function matchPlan(
  plan: RewritePlan,
  layers: readonly Layer[],
  sha256: string,
  opset: number,
): LayerPlan[] {
  if (plan.source !== sha256)
    throw wrong(
      'source',
      `The plan was made for another file (SHA-256 ${plan.source}); this one has ${sha256}. Make a new plan.`,
    );
  const byId = new Map(plan.layers.map((layer) => [layer.id, layer]));
  const known = new Set(layers.map((layer) => layer.info.id));
  for (const { id } of plan.layers) if (!known.has(id)) throw wrong(id, 'The model has no layer of this id.');
  return layers.map((layer): LayerPlan => {
    const { id } = layer.info;
    const found = byId.get(id) ?? {
      id,
      keep: { code: 'kept-by-plan', message: 'The plan does not name it.' },
    };
    if ('spec' in found) checkSpec(layer, found, opset);
    return found;
  });
}

function checkSpec({ info }: Layer, plan: Extract<LayerPlan, { spec: unknown }>, opset: number): void {
  const { spec, factorType, compute = 'float' } = plan;
  const isTied = info.reason?.code === 'weight-tied';
  if (info.shape === null || (info.reason !== undefined && !isTied))
    throw wrong(info.id, `It cannot be rewritten: ${info.reason?.message ?? 'it has no weight.'}`);
  const blocks = checkBlocks(info.shape, spec, opset);
  if (blocks !== undefined) throw wrong(info.id, blocks.message);
  if ((factorType === 'bfloat16' || info.dtype === 'bfloat16') && opset < BFLOAT16_OPSET)
    throw wrong(info.id, `Functions of bfloat16 need opset ${BFLOAT16_OPSET}; the model has ${opset}.`);
  if (!computeFits(compute, factorType))
    throw wrong(
      info.id,
      `Factors of ${factorType} can be computed in ${allowedComputes(factorType)}; found ${compute}.`,
    );
  const largest = largestShrinkingRank(info, spec, factorType);
  if (spec.rank > largest)
    throw wrong(
      info.id,
      `Rank ${spec.rank} does not make [${info.shape.in}, ${info.shape.out}] smaller; ${largest} is the largest that does.`,
    );
}

function wrong(where: string, message: string): BlockrankError {
  return new BlockrankError('INVALID_PLAN', `Plan, ${where}: ${message}`);
}
