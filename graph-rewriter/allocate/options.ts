// What may become of one weight: each structure at each rank, and dense, with bytes and predicted loss.
import type { Blocks, Shape } from '../structure-size.js';
import { factorBytes, largestShrinkingRank, sizePerRank, weightBytes } from '../structure-size.js';
import type { StructureSpec } from '../factorize/types.js';
import type { FactorType, LayerInfo } from '../types.js';
import type { Option } from './choose.js';
import { tailAt, type Tails } from './spectrum.js';

/** Seconds that a layer takes for one run with these factors, or dense where `spec` is absent. */
export type LayerTime = (layer: LayerInfo, spec?: StructureSpec) => number;

export interface LayerOption extends Option {
  /** Absent: it stays dense. */
  readonly spec?: StructureSpec;
  /** Predicted tr(E C Eᵀ), E = diag(d)(W − Ŵ), d as measured. */
  readonly error: number;
}

export interface Curve {
  readonly blocks: Blocks;
  readonly tails: Tails;
}

/** Kernels work in tiles of 8: ranks from here on are multiples of it. */
const TILE = 8;
const TILED = 64;
/** Ranks below this share of the one that saves nothing are not trusted to a second-order prediction. */
const LEAST = 0.05;

/**
 * tr(E C Eᵀ) of BLAST after ALS as a share of low rank's with as many numbers, by log₂ b of equal block counts: measured on all 210
 * matrices of SmolLM2-135M at half the size (mean relative errors 0.277 for low rank; 0.249, 0.230, 0.217, 0.205 for b = 2, 4, 8, 16).
 */
const BLAST_SHARE = [1, 0.81, 0.69, 0.61, 0.55];

export function layerOptions(
  layer: LayerInfo,
  curves: readonly Curve[],
  type: FactorType,
  { perError, time }: { readonly perError: number; readonly time?: LayerTime },
): LayerOption[] {
  const dense: LayerOption = { cost: weightBytes(layer), loss: 0, error: 0 };
  const slowest = time?.(layer) ?? Infinity;
  const structured = curves.flatMap(({ blocks, tails }) =>
    ranks(layer, blocks, type).flatMap((rank): LayerOption[] => {
      // In the order of a plan that was read back: the same plan writes the same metadata.
      const { structure, blocksIn, blocksOut } = blocks;
      const spec: StructureSpec = { structure, rank, blocksIn, blocksOut };
      if (time !== undefined && time(layer, spec) > slowest) return [];
      const error = predictedError(layer.shape!, spec, tails);
      return [{ spec, cost: factorBytes(layer.shape!, spec, type), loss: perError * error, error }];
    }),
  );
  return [dense, ...structured];
}

/** BLAST from the low-rank curve at as many numbers. */
export function predictedError(shape: Shape, spec: StructureSpec, tails: Tails): number {
  if (spec.structure !== 'blast') return tailAt(tails, spec.rank);
  const same = (spec.rank * sizePerRank(shape, spec)) / (shape.in + shape.out);
  return blastShare(spec) * tailAt(tails, same);
}

function blastShare({ blocksIn, blocksOut }: StructureSpec): number {
  const last = BLAST_SHARE.length - 1;
  const at = Math.min(Math.log2(blocksIn * blocksOut) / 2, last);
  const below = Math.min(Math.floor(at), last - 1);
  return BLAST_SHARE[below] + (at - below) * (BLAST_SHARE[below + 1] - BLAST_SHARE[below]);
}

function ranks(layer: LayerInfo, blocks: Blocks, type: FactorType): number[] {
  const most = largestShrinkingRank(layer, blocks, type);
  const step = most >= TILED ? TILE : 1;
  const least = Math.max(step, Math.ceil((LEAST * most) / step) * step);
  const count = Math.max(0, Math.floor((most - least) / step) + 1);
  return Array.from({ length: count }, (_, i) => least + i * step);
}
