// How layers and plans are shown to people.
import type { StructureSpec } from '../../graph-rewriter/factorize/types.js';
import type { LayerInfo, LayerPlan, LayerResult, Reason, RewriteReport } from '../../graph-rewriter/types.js';
import { count, formatBytes, formatNumber, formatPercent, formatShape } from '../format.js';
import { groupBy } from './group.js';
import { formatTable } from './table.js';

/** `4 × 4`, in × out; nothing for low rank, which has no blocks. */
export function formatBlocks({ structure, blocksIn, blocksOut }: StructureSpec): string {
  return structure === 'low-rank' ? '' : `${blocksIn} × ${blocksOut}`;
}

/** Layers that stay dense, one line for all that do so for one reason. */
export function formatKept(
  kept: readonly { readonly layer: Pick<LayerInfo, 'id'>; readonly reason: Reason }[],
  width: number,
): string {
  const byMessage = groupBy(kept, ({ reason }) => `${reason.code} ${reason.message}`);
  const rows = byMessage.map((group) => [
    group.length > 3 ? count(group.length, 'layer') : group.map(({ layer }) => layer.id).join(', '),
    group[0].reason.code,
    group[0].reason.message,
  ]);
  return formatTable(
    [{ title: 'stays dense' }, { title: 'reason' }, { title: 'why', wrap: true }],
    rows,
    width,
  );
}

/** Layers that look like the beginning of a factorized one, and why they are none; nothing where there are none. */
export function formatNearMisses(layers: readonly LayerInfo[], width: number): string[] {
  const rows = layers.flatMap(({ id, nearMiss }) =>
    nearMiss ? [[id, nearMiss.code, nearMiss.message]] : [],
  );
  const columns = [
    { title: 'nearly factorized' },
    { title: 'reason' },
    { title: 'why', wrap: true },
  ] as const;
  return rows.length ? [formatTable(columns, rows, width)] : [];
}

/** `BLAST, 4 × 4, r 16` */
export function formatStructure(spec: StructureSpec): string {
  const names = { blast: 'BLAST', monarch: 'Monarch', 'low-rank': 'low rank' };
  return [names[spec.structure], formatBlocks(spec), `r ${spec.rank}`].filter(Boolean).join(', ');
}

/** What a rewrite did: layers, what stayed and why, totals. */
export function formatRewriteReport(report: RewriteReport, width: number): string {
  const parts: string[] = [];
  const rewritten = report.layers.filter((layer) => layer.result);
  const kept = report.layers.flatMap(({ layer, plan }) =>
    'keep' in plan ? [{ layer, reason: plan.keep }] : [],
  );
  if (rewritten.length) parts.push(formatResults(rewritten, width));
  if (kept.length) parts.push(formatKept(kept, width));
  const few = fewSamples(rewritten);
  if (few !== undefined) parts.push(few);
  parts.push(...formatAssumed(report.layers.map(({ plan }) => plan)));
  const refitted = report.layers.filter((layer) => layer.refitted).length;
  if (refitted > 0) parts.push(`${count(refitted, 'dense layer')} refitted to what the layers before became`);
  parts.push(
    `${count(rewritten.length, 'layer')} rewritten, ${kept.length} kept; ` +
      `${formatBytes(report.bytesBefore)} before, ${formatBytes(report.bytesAfter)} after (${formatPercent(report.bytesAfter / report.bytesBefore)})`,
  );
  return parts.join('\n\n');
}

/** Says which layers were compared without a gradient. */
export function formatAssumed(plans: readonly LayerPlan[]): string[] {
  const assumed = plans.filter((plan) => 'spec' in plan && plan.predicted?.assumed);
  if (assumed.length === 0) return [];
  return [
    `${count(assumed.length, 'layer')} rewritten without a gradient (${assumed[0].id}${assumed.length > 1 ? ' …' : ''}; none reaches bodies of If, Loop and Scan): ranks were chosen as if leaving one out cost what it costs in the median of the others`,
  ];
}

/** Fewer rows than features leave directions of the input that nothing was seen of. */
function fewSamples(rewritten: readonly LayerResult[]): string | undefined {
  const short = rewritten.filter(
    ({ layer, result }) => (result?.samples ?? Infinity) < (layer.shape?.in ?? 0),
  );
  if (short.length === 0) return undefined;
  const [{ layer, result }] = short;
  return `${count(short.length, 'layer')} saw fewer calibration rows than features (${layer.id}: ${result!.samples} rows, ${layer.shape!.in} features): give several times as many rows`;
}

function formatResults(rewritten: readonly LayerResult[], width: number): string {
  // Without calibration both errors are the same number.
  const calibrated = rewritten.some(({ result }) => result?.weightedError !== result?.relativeError);
  const rounded = rewritten.some(({ result }) => result?.quantization);
  const allocated = rewritten.some(({ plan }) => 'spec' in plan && plan.predicted);
  const isShown = [...RESULT_COLUMNS.map(() => true), calibrated, rounded, allocated];
  const only = <T>(cells: readonly T[]) => cells.filter((_, i) => isShown[i]);
  return formatTable(
    only([...RESULT_COLUMNS, WEIGHTED, ROUNDING, PREDICTED]),
    rewritten.map(resultRow).map(only),
    width,
  );
}

const WEIGHTED = { title: 'weighted', align: 'right' } as const;
/** In the metric of the column before it. */
const ROUNDING = { title: 'of int8', align: 'right' } as const;
/** What the allocation expected of `weighted`. */
const PREDICTED = { title: 'predicted', align: 'right' } as const;
const RESULT_COLUMNS = [
  { title: 'rewritten' },
  { title: 'in × out', align: 'right' },
  { title: 'as' },
  { title: 'blocks', align: 'right' },
  { title: 'rank', align: 'right' },
  { title: 'before', align: 'right' },
  { title: 'after', align: 'right' },
  { title: 'error', align: 'right' },
] as const;

function resultRow({ layer, plan, result }: LayerResult): string[] {
  if (!result || !('spec' in plan)) return [];
  return [
    layer.id,
    formatShape(layer.shape),
    result.op,
    formatBlocks(plan.spec),
    String(plan.spec.rank),
    formatBytes(result.bytesBefore),
    formatBytes(result.bytesAfter),
    formatNumber(result.relativeError),
    formatNumber(result.weightedError),
    result.quantization ? formatNumber(result.quantization.weightedError) : '',
    plan.predicted ? formatNumber(plan.predicted.weightedError) : '',
  ];
}
