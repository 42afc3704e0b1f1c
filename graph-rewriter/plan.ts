// Chooses structure, blocks and rank for each layer.
import { BFLOAT16_OPSET } from './check-plan.js';
import { checkBlockOption, chooseBlocks } from './blocks.js';
import { allowedComputes, computeFits } from './compute.js';
import { BlockrankError } from './errors.js';
import { STRUCTURES } from './factorize/types.js';
import { isFloatType } from './floats.js';
import { selector } from './select.js';
import {
  type Blocks,
  factorCost,
  fullRank,
  largestShrinkingRank,
  type Shape,
  sizePerRank,
  weightBytes,
} from './structure-size.js';
import {
  COMPUTES,
  FACTOR_TYPES,
  FLOAT_FACTOR_TYPES,
  type FactorizedInfo,
  type FactorType,
  type LayerInfo,
  type LayerPlan,
  type ModelInfo,
  type PlanOptions,
  type Reason,
  type ReasonCode,
  type RewritePlan,
} from './types.js';
import { keepMixedTypes } from './mixed-types.js';

export { formatPlan, parsePlan } from './plan-json.js';

export const DEFAULT_STRUCTURE = 'blast';
export const DEFAULT_KEEP = 0.5;
/** 64 × 64: below, a layer's overhead outweighs its arithmetic. */
export const DEFAULT_MIN_SIZE = 4096;
/** Harmonic mean of in and out: of 1×1 Convs and products from the left, 96…222 became slower at half the bytes, 320…1228 faster (docs/rewriting.md). */
const NARROW = 256;

/** Pure: the same model and options give the same plan. Throws INVALID_ARGUMENT. */
export function planRewrite(info: ModelInfo, options: PlanOptions = {}): RewritePlan {
  const layers = planLayers(info, options);
  return { version: 1, source: info.sha256, layers };
}

/** The layers of that plan, without the hash of the file. */
export function planLayers(info: ModelInfo, options: PlanOptions = {}): readonly LayerPlan[] {
  checkOptions(options);
  if (options.factorType === 'bfloat16' && info.opset < BFLOAT16_OPSET)
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `Factors of bfloat16 need opset ${BFLOAT16_OPSET}; ${info.path} has ${info.opset}. Choose float16.`,
    );
  const isSelected = selector(info.layers, options);
  const layers = info.layers.map((layer): LayerPlan => {
    const isSplit = options.splitTied && layer.reason?.code === 'weight-tied';
    if (layer.reason !== undefined && !isSplit) return { id: layer.id, keep: layer.reason };
    if (!isSelected(layer)) return keep(layer, 'excluded', 'The include and exclude patterns leave it out.');
    if (layer.factorized !== undefined) return planFactorized(layer, layer.factorized, options);
    if (options.recognisedOnly)
      return keep(layer, 'excluded', 'Only layers that are factorized already were asked for.');
    if (isQuantized(layer) && !isMeant(options))
      return keep(
        layer,
        'already-quantized',
        `Its weight is stored as ${layer.stored!.dtype}; factors of a floating type that are smaller would lose much of it. Make them int8, name it by include, or give a rank, to replace it all the same.`,
      );
    if (
      layer.transposes &&
      options.include === undefined &&
      options.rank === undefined &&
      isNarrow(layer.shape!)
    )
      return keep(
        layer,
        'transposes-cost-more',
        `It would need a Transpose before and after, which cost more than factors save where it has fewer than ${NARROW} features (harmonic mean of in and out). Name it by include, or give a rank, to replace it all the same.`,
      );
    return planLayer(layer, layer.shape!, options, info.opset);
  });
  refuseUseless(layers, options);
  return keepMixedTypes(info, layers);
}

function planLayer(layer: LayerInfo, shape: Shape, options: PlanOptions, opset: number): LayerPlan {
  if (layer.dtype === 'bfloat16' && opset < BFLOAT16_OPSET)
    return keep(
      layer,
      'weight-type',
      `Functions of bfloat16 need opset ${BFLOAT16_OPSET}; the model has ${opset}.`,
    );
  const minSize = Math.max(1, options.minSize ?? DEFAULT_MIN_SIZE);
  const size = shape.in * shape.out;
  if (size < minSize)
    return keep(
      layer,
      'too-small',
      `It has ${size} numbers; layers of fewer than ${minSize} are left alone.`,
    );
  const structure = options.structure ?? DEFAULT_STRUCTURE;
  const blocks = chooseBlocks(structure, shape, options.blocks, opset);
  if ('code' in blocks) return { id: layer.id, keep: blocks };
  const factorType = options.factorType ?? (options.compute === 'int8' ? 'int8' : ownType(layer));
  const rank = chooseRank(layer, shape, { structure, ...blocks }, factorType, options);
  if (typeof rank !== 'number') return { id: layer.id, keep: rank };
  const { compute = 'float' } = options;
  return {
    id: layer.id,
    spec: { structure, rank, ...blocks },
    factorType,
    ...(compute !== 'float' && { compute }),
  };
}

/** Its factors stay as they are; bfloat16 is only how they are multiplied. */
function planFactorized(
  { id }: LayerInfo,
  { spec, factorType }: FactorizedInfo,
  { compute }: PlanOptions,
): LayerPlan {
  return { id, spec, factorType, ...(compute === 'bfloat16' && { compute }) };
}

/** Whether a quantized weight is to be replaced too. */
function isMeant({ include, rank, factorType, compute }: PlanOptions): boolean {
  return include !== undefined || rank !== undefined || factorType === 'int8' || compute === 'int8';
}

/** Transposes move in + out numbers a position, factors save a share of in · out products. */
function isNarrow(shape: Shape): boolean {
  return (2 * shape.in * shape.out) / (shape.in + shape.out) < NARROW;
}

function isQuantized({ stored }: LayerInfo): boolean {
  return stored !== undefined && !isFloatType(stored.dtype);
}

/** The type that the weight is stored in, where factors can have it, else the one that it multiplies in. */
function ownType({ dtype, stored }: LayerInfo): FactorType {
  return FLOAT_FACTOR_TYPES.find((type) => type === stored?.dtype) ?? (dtype as FactorType);
}

function chooseRank(
  layer: LayerInfo,
  shape: Shape,
  blocks: Blocks,
  type: FactorType,
  { rank, keep }: PlanOptions,
): number | Reason {
  const largest = largestShrinkingRank(layer, blocks, type);
  const share = keep ?? DEFAULT_KEEP;
  const affordable = affordableRank(layer, shape, blocks, type, keep);
  const chosen = rank ?? Math.min(largest, affordable, fullRank(shape, blocks));
  if (chosen >= 1 && chosen <= largest) return chosen;
  const stored = layer.stored ? ` than its ${layer.stored.bytes} bytes as ${layer.stored.dtype}` : '';
  const what = `[${shape.in}, ${shape.out}] as ${blocks.structure} of ${blocks.blocksIn}×${blocks.blocksOut} blocks`;
  const why =
    largest < 1
      ? `no rank makes ${what} smaller${stored}`
      : rank === undefined
        ? `rank 1 of ${what} is already more than ${share} of the weight${layer.stored ? ` as ${layer.stored.dtype}` : ''}`
        : `rank ${rank} does not make ${what} smaller${stored}; ${largest} is the largest that does`;
  return { code: 'rank-does-not-shrink', message: `${why[0].toUpperCase()}${why.slice(1)}.` };
}

/** By bytes; without a share of them asked for also by numbers, so that narrow factors keep half of the arithmetic too. */
function affordableRank(
  layer: LayerInfo,
  shape: Shape,
  blocks: Blocks,
  type: FactorType,
  keep: number | undefined,
): number {
  const { perRank, fixed } = factorCost(shape, blocks, type);
  const bytes = Math.floor(((keep ?? DEFAULT_KEEP) * weightBytes(layer) - fixed) / perRank);
  if (keep !== undefined) return bytes;
  return Math.min(bytes, Math.floor((DEFAULT_KEEP * shape.in * shape.out) / sizePerRank(shape, blocks)));
}

/** A rank, or block counts, that fit no layer at all are a mistake of the caller, not a property of the layers. */
function refuseUseless(layers: readonly LayerPlan[], { rank, blocks }: PlanOptions): void {
  if (layers.some((layer) => 'spec' in layer)) return;
  const refuse = (code: ReasonCode, what: string) => {
    const refused = layers.find((layer) => 'keep' in layer && layer.keep.code === code);
    if (refused !== undefined && 'keep' in refused)
      throw new BlockrankError('INVALID_ARGUMENT', `${what}. ${refused.id}: ${refused.keep.message}`);
  };
  if (rank !== undefined) refuse('rank-does-not-shrink', `Rank ${rank} would shrink no layer`);
  if (blocks !== undefined) refuse('blocks-do-not-fit', `Blocks ${String(blocks)} fit no layer`);
}

function keep(layer: LayerInfo, code: Reason['code'], message: string): LayerPlan {
  return { id: layer.id, keep: { code, message } };
}

function checkOptions(options: PlanOptions): void {
  const { structure, keep, rank, blocks, minSize, factorType, compute } = options;
  const refuse = (expected: string, found: unknown) => {
    throw new BlockrankError('INVALID_ARGUMENT', `Expected ${expected}; found ${JSON.stringify(found)}.`);
  };
  if (structure !== undefined && !STRUCTURES.includes(structure))
    refuse(`structure to be one of ${STRUCTURES.join(', ')}`, structure);
  if (keep !== undefined && rank !== undefined) refuse('keep or rank, not both', { keep, rank });
  if (keep !== undefined && !(keep > 0 && keep <= 1)) refuse('keep to be more than 0 and at most 1', keep);
  if (rank !== undefined && !(Number.isInteger(rank) && rank >= 1))
    refuse('rank to be a whole number from 1 up', rank);
  if (minSize !== undefined && !(minSize >= 0)) refuse('minSize to be a number from 0 up', minSize);
  if (factorType !== undefined && !FACTOR_TYPES.includes(factorType))
    refuse(`factorType to be one of ${FACTOR_TYPES.join(', ')}`, factorType);
  if (compute !== undefined && !COMPUTES.includes(compute))
    refuse(`compute to be one of ${COMPUTES.join(', ')}`, compute);
  if (factorType !== undefined && compute !== undefined && !computeFits(compute, factorType))
    refuse(`compute of ${factorType} factors to be ${allowedComputes(factorType)}`, compute);
  checkBlockOption(blocks);
}
