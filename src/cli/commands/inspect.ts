// `blockrank inspect model.onnx`
import type { Command } from 'commander';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { planRewrite } from '../../../graph-rewriter/plan.js';
import type { LayerInfo, LayerPlan, ModelInfo } from '../../../graph-rewriter/types.js';
import { count, formatBytes, formatPercent, formatShape } from '../../format.js';
import { formatKept } from '../layers.js';
import { runCommand } from '../run.js';
import { formatTable } from '../table.js';

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('list every matrix product and convolution of a model, and why one would not be rewritten')
    .description(
      'Lists every matrix product and convolution of a model: name, shape, type, where the weight lives, whether `rewrite` without options would rewrite it, and if not the reason.',
    )
    .argument('<model>', 'ONNX file')
    .action((path: string, _: unknown, command: Command) =>
      runCommand(command, async ({ width }) => {
        const info = withDefaultPlan(await inspectModel(path));
        return { json: { ...info, totals: totals(info) }, text: describe(info, width) };
      }),
    );
}

/** A reason also where only the default plan gives one: a layer that is too small, for example. */
function withDefaultPlan(info: ModelInfo): ModelInfo {
  const plans = new Map(planRewrite(info).layers.map((plan: LayerPlan) => [plan.id, plan]));
  const layers = info.layers.map((layer) => {
    const plan = plans.get(layer.id);
    return plan && 'keep' in plan ? { ...layer, reason: plan.keep } : layer;
  });
  return { ...info, layers };
}

interface Totals {
  readonly layers: number;
  readonly rewritable: number;
  /** Bytes of the distinct weights that would be rewritten. */
  readonly rewritableBytes: number;
}

function totals(info: ModelInfo): Totals {
  const rewritable = info.layers.filter((layer) => !layer.reason);
  const distinct = new Map(rewritable.map((layer) => [layer.weightKey ?? layer.id, layer.bytes]));
  const rewritableBytes = [...distinct.values()].reduce((sum, bytes) => sum + bytes, 0);
  return { layers: info.layers.length, rewritable: rewritable.length, rewritableBytes };
}

function describe(info: ModelInfo, width: number): string {
  const { rewritable, rewritableBytes } = totals(info);
  const kept = info.layers.flatMap((layer) => (layer.reason ? [{ layer, reason: layer.reason }] : []));
  const producer = info.producer ? `, by ${info.producer}` : '';
  const parts = [
    `${info.path}: ${formatBytes(info.bytes)}, IR ${info.irVersion}, opset ${info.opset}${producer}`,
    info.layers.length ? formatTable(COLUMNS, info.layers.map(row), width) : 'No matrix product.',
    ...(kept.length ? [formatKept(kept, width)] : []),
    `${count(info.layers.length, 'layer')}, ${rewritable} would be rewritten: ${formatBytes(rewritableBytes)}, ${formatPercent(rewritableBytes / info.bytes)} of the model`,
  ];
  return parts.join('\n\n');
}

const COLUMNS = [
  { title: 'layer' },
  { title: 'op' },
  { title: 'in × out', align: 'right' },
  { title: 'type' },
  { title: 'weight', minor: true },
  { title: 'where' },
  { title: 'size', align: 'right' },
  { title: 'rewrite' },
] as const;

function row(layer: LayerInfo): string[] {
  return [
    layer.id,
    layer.op,
    formatShape(layer.shape),
    layer.dtype,
    layer.weight,
    layer.location ?? '',
    layer.bytes ? formatBytes(layer.bytes) : '',
    layer.reason ? `no: ${layer.reason.code}` : ['yes', ...absorbed(layer)].join(' + '),
  ];
}

/** What the new node computes besides the product. */
function absorbed({ bias, activation }: LayerInfo): string[] {
  return [...(bias ? ['bias'] : []), ...(activation === 'none' ? [] : [activation])];
}
