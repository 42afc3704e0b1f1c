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
}

/** The same without the means, for layers whose bias takes them up. */
export interface CentredStatistics {
  readonly compressed: Float64Array;
  readonly cross: Float64Array;
  gap(name: string): Float64Array | undefined;
}

export class StatisticsSum {
  private readonly compressed: MomentSum;
  private readonly cross: MomentSum;
  private readonly gaps: ReadonlyMap<string, MomentSum>;

  /** `isChanged`: a changed layer comes before the value. */
  constructor(
    private readonly group: Group,
    private readonly isChanged: (name: string) => boolean,
  ) {
    this.compressed = new MomentSum(this.describe(group.input, 'compressed'));
    this.cross = new MomentSum(this.describe(group.input, 'original'));
    const residuals = group.members.flatMap((member) => member.residuals.map(({ name }) => name));
    this.gaps = new Map(
      residuals.filter(isChanged).map((name) => [name, new MomentSum(`the gap in '${name}'`)] as const),
    );
  }

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
    this.compressed.add(await products.of(own, own, mask), samples, batch);
    if (this.isChanged(input)) {
      const original = rowsOf(states.get(input, 'dense', batch));
      this.cross.add(await products.of(original, own, mask), samples, batch);
    }
    for (const [name, sum] of this.gaps) {
      const [x, changed] = (['dense', 'compressed'] as const).map((side) =>
        rowsOf(states.get(name, side, batch)),
      );
      if (!isAligned(x, changed, own)) continue;
      sum.add(await products.of(x, own, mask, changed), samples, batch);
    }
  }

  /** Undefined where no row was seen. */
  statistics(): GroupStatistics | undefined {
    const { samples } = this.compressed;
    if (samples === 0) return undefined;
    const compressed = this.compressed.moments();
    const cross = this.isChanged(this.group.input) ? this.cross.moments() : compressed;
    // A residual of another shape in some batch is no residual stream.
    const aligned = [...this.gaps].filter(([, gap]) => gap.samples === samples);
    const gaps = new Map(aligned.map(([name, gap]) => [name, gap.moments()] as const));
    return { samples, compressed, cross, gaps };
  }

  private describe(name: string, side: string): string {
    const readers = this.group.members.map(({ info }) => info.id).join(', ');
    return `tensor '${name}' of the ${side} model, which ${readers} reads,`;
  }
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
