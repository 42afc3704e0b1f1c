// The moments that a group's targets are computed from, summed batch by batch.
import type { Group } from './groups.js';
import { centred, MomentSum, type Moments } from './moments.js';
import { isSummable, rowsOf, type ProductSums, type Rows } from './product-sums.js';
import type { States } from './states.js';

export interface GroupStatistics {
  readonly samples: number;
  /** E[h′ h′ᵀ], E[h′] */
  readonly compressed: Moments;
  /** E[h h′ᵀ], E[h]; the same object as `compressed` where nothing before the group was changed. */
  readonly cross: Moments;
  /** E[(x − x′) h′ᵀ], E[x − x′] for each residual tensor that differs between the sides. */
  readonly gaps: ReadonlyMap<string, Moments>;
  /** The same of every other batch, and of the rest, where rows are too few to be taken at their word. */
  readonly halves?: readonly [GroupStatistics, GroupStatistics];
}

/** With this many rows for each feature, the noise in a target is a few hundredths of what it misses. */
const ENOUGH = 16;

/** The same without the means, for layers whose bias takes them up. */
export interface CentredStatistics {
  readonly compressed: Float64Array;
  readonly cross: Float64Array;
  gap(name: string): Float64Array | undefined;
}

interface Sums {
  readonly compressed: MomentSum;
  readonly cross: MomentSum;
  readonly gaps: ReadonlyMap<string, MomentSum>;
}

export class StatisticsSum {
  /** One of all batches, or one of each half of them. */
  private sums: readonly Sums[] = [];

  /** `isChanged`: a changed layer comes before the value. `batches`: how many there will be, where that is known. */
  constructor(
    private readonly group: Group,
    private readonly isChanged: (name: string) => boolean,
    private readonly batches?: number,
  ) {}

  async add(
    states: States,
    products: ProductSums,
    batch: number,
    maskFor: (rows: number) => Uint8Array,
  ): Promise<void> {
    const { input } = this.group;
    const own = rowsOf(states.get(input, 'compressed', batch));
    if (own.count === 0 || !isSummable(own.tensor.type)) return;
    const mask = maskFor(own.count);
    const samples = mask.reduce((sum, keep) => sum + keep, 0);
    const { compressed, cross, gaps } = this.sumsFor(batch, samples, own.size);
    compressed.add(await products.of(own, own, mask), samples, batch);
    if (this.isChanged(input)) {
      const original = rowsOf(states.get(input, 'dense', batch));
      cross.add(await products.of(original, own, mask), samples, batch);
    }
    for (const [name, sum] of gaps) {
      const [x, changed] = (['dense', 'compressed'] as const).map((side) =>
        rowsOf(states.get(name, side, batch)),
      );
      if (!isAligned(x, changed, own)) continue;
      sum.add(await products.of(x, own, mask, changed), samples, batch);
    }
  }

  /** Undefined where no row was seen. */
  statistics(): GroupStatistics | undefined {
    const seen = this.sums.filter(({ compressed }) => compressed.samples > 0);
    if (seen.length === 0) return undefined;
    const whole = this.statisticsOf(seen.reduce(plus));
    if (seen.length < 2) return whole;
    return { ...whole, halves: [this.statisticsOf(seen[0]), this.statisticsOf(seen[1])] };
  }

  private statisticsOf(sums: Sums): GroupStatistics {
    const { samples } = sums.compressed;
    const compressed = sums.compressed.moments();
    const cross = this.isChanged(this.group.input) ? sums.cross.moments() : compressed;
    // A residual of another shape in some batch is no residual stream.
    const aligned = [...sums.gaps].filter(([, gap]) => gap.samples === samples);
    const gaps = new Map(aligned.map(([name, gap]) => [name, gap.moments()] as const));
    return { samples, compressed, cross, gaps };
  }

  private sumsFor(batch: number, samples: number, size: number): Sums {
    const { batches = 1 } = this;
    if (this.sums.length === 0)
      this.sums =
        batches > 1 && samples * batches < ENOUGH * size
          ? [this.makeSums(), this.makeSums()]
          : [this.makeSums()];
    return this.sums[batch % this.sums.length];
  }

  private makeSums(): Sums {
    const { group, isChanged } = this;
    const residuals = group.members.flatMap((member) => member.residuals.map(({ name }) => name));
    return {
      compressed: new MomentSum(this.describe(group.input, 'compressed')),
      cross: new MomentSum(this.describe(group.input, 'original')),
      gaps: new Map(
        residuals.filter(isChanged).map((name) => [name, new MomentSum(`the gap in '${name}'`)] as const),
      ),
    };
  }

  private describe(name: string, side: string): string {
    const readers = this.group.members.map(({ info }) => info.id).join(', ');
    return `tensor '${name}' of the ${side} model, which ${readers} reads,`;
  }
}

function plus(a: Sums, b: Sums): Sums {
  return {
    compressed: a.compressed.plus(b.compressed),
    cross: a.cross.plus(b.cross),
    gaps: new Map([...a.gaps].map(([name, gap]) => [name, gap.plus(b.gaps.get(name)!)])),
  };
}

export function centredStatistics({ compressed, cross, gaps }: GroupStatistics): CentredStatistics {
  const { mean } = compressed;
  const own = centred(compressed, mean);
  return {
    compressed: own,
    cross: cross === compressed ? own : centred(cross, mean),
    gap(name) {
      const moments = gaps.get(name);
      return moments && centred(moments, mean);
    },
  };
}

function isAligned(x: Rows, changed: Rows, own: Rows): boolean {
  return (
    x.count === own.count &&
    changed.count === own.count &&
    x.size === changed.size &&
    isSummable(x.tensor.type)
  );
}
