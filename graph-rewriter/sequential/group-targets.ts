// The targets of a group's weights, with what they share computed once.
import { stack, type Engine } from '../factorize/engine.js';
import type { Member } from './groups.js';
import { centredStatistics, type CentredStatistics, type GroupStatistics } from './statistics.js';
import { targetMap, targetWeight, type TargetMap, type TargetOptions } from './target.js';
import { trustIn, type Half } from './trust.js';

/** What a layer is to be fitted to, and in which metric. */
export interface Target {
  /** W_t, [out, in] */
  readonly weight: Float32Array;
  /** C′, [in, in]; absent where the layer saw nothing but zeros. */
  readonly covariance?: Float32Array;
  /** The target differs from the layer's own weight. */
  readonly isMoved: boolean;
  /** Share of the original model's activations in the target: less than asked for where rows are few. */
  readonly alpha: number;
}

interface Shared {
  readonly covariance: Float32Array;
  readonly map: TargetMap;
}

/** Of a second moment without the mean, less than this share is rounding. */
const NEGLIGIBLE = 1e-6;

export class GroupTargets {
  private readonly shared = new Map<boolean, Promise<Shared | undefined>>();
  private readonly centred: () => CentredStatistics;
  private readonly halves: readonly GroupTargets[];

  constructor(
    private readonly options: TargetOptions & { readonly engine: Engine },
    readonly statistics: GroupStatistics,
    /** A changed layer comes before the group. */
    private readonly isInputChanged: boolean,
  ) {
    let made: CentredStatistics | undefined;
    this.centred = () => (made ??= centredStatistics(statistics));
    this.halves = (statistics.halves ?? []).map((half) => new GroupTargets(options, half, isInputChanged));
  }

  /** `centred`: a bias takes up the means. Falls back to whole second moments where the input never varies. */
  async of(member: Member, weight: Float32Array, centred: boolean): Promise<Target & { centred: boolean }> {
    const shared = await this.map(centred);
    if (shared === undefined)
      return centred
        ? this.of(member, weight, false)
        : { weight, isMoved: false, centred: false, alpha: this.options.alpha };
    const { covariance, map } = shared;
    const gap = this.gap(member, centred);
    const { engine, alpha } = this.options;
    if (!this.isInputChanged && gap === undefined)
      return { weight, covariance, isMoved: false, centred, alpha };
    const target = await targetWeight(engine, weight, map, alpha, gap);
    const trust = await this.trust(member, weight, centred);
    if (trust < 1) target.forEach((value, at) => (target[at] = weight[at] + trust * (value - weight[at])));
    return { weight: target, covariance, isMoved: true, centred, alpha: trust * alpha };
  }

  /** By both halves of the batches, where they are known. */
  private async trust(member: Member, weight: Float32Array, centred: boolean): Promise<number> {
    const { engine, alpha } = this.options;
    const halves: Half[] = [];
    for (const half of this.halves) {
      const found = await half.evidence(member, weight, centred);
      if (found === undefined) return 1;
      halves.push(found);
    }
    return halves.length === 2 && alpha > 0 ? trustIn(engine, weight, halves, alpha) : 1;
  }

  private async evidence(member: Member, weight: Float32Array, centred: boolean): Promise<Half | undefined> {
    const shared = await this.map(centred);
    if (shared === undefined) return undefined;
    const { engine, alpha } = this.options;
    const gap = this.gap(member, centred);
    const target = await targetWeight(engine, weight, shared.map, alpha, gap);
    const size = this.statistics.compressed.rows;
    const change = stack(
      Float64Array.from(target, (value, at) => value - weight[at]),
      1,
      weight.length / size,
      size,
    );
    return { size, ...this.moments(centred), ...(gap && { gap }), change };
  }

  /** E[x − x′] in units of the layer's product. */
  meanGap(member: Member): Float64Array {
    const result = new Float64Array(member.match.out);
    for (const { name, scale } of member.residuals)
      this.statistics.gaps.get(name)?.mean.forEach((value, o) => (result[o] += value / at(scale, o)));
    return result;
  }

  private map(centred: boolean): Promise<Shared | undefined> {
    let shared = this.shared.get(centred);
    if (shared === undefined) this.shared.set(centred, (shared = this.makeMap(centred)));
    return shared;
  }

  private async makeMap(centred: boolean): Promise<Shared | undefined> {
    const { compressed } = this.statistics;
    const size = compressed.rows;
    const own = this.moments(centred);
    if (centred && trace(own.compressed, size) < NEGLIGIBLE * trace(compressed.product, size))
      return undefined;
    const map = await targetMap(this.options.engine, { size, ...own }, this.options);
    return map && { map, covariance: Float32Array.from(own.compressed) };
  }

  private moments(centred: boolean): { readonly compressed: Float64Array; readonly cross: Float64Array } {
    const { compressed, cross } = this.statistics;
    if (!centred) return { compressed: compressed.product, cross: cross.product };
    const own = this.centred();
    return { compressed: own.compressed, cross: own.cross };
  }

  /** D, [out, in], in units of the layer's product. */
  private gap({ residuals, match }: Member, centred: boolean): Float64Array | undefined {
    let result: Float64Array | undefined;
    for (const { name, scale } of residuals) {
      const moments = this.statistics.gaps.get(name);
      if (moments === undefined || moments.rows !== match.out) continue;
      const product = centred ? this.centred().gap(name)! : moments.product;
      const scaled = product.map((value, i) => value / at(scale, Math.floor(i / moments.columns)));
      result = result ? result.map((value, i) => value + scaled[i]) : scaled;
    }
    return result;
  }
}

const at = (scale: Float32Array, o: number) => scale[scale.length === 1 ? 0 : o];

function trace(matrix: Float64Array, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += matrix[i * (size + 1)];
  return sum;
}
