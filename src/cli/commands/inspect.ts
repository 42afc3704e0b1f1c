// `blockrank inspect model.onnx`
import type { Command } from 'commander';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { operatorName } from '../../../graph-rewriter/operator-name.js';
import { planLayers } from '../../../graph-rewriter/plan.js';
import type { FactorizedInfo, LayerInfo, ModelInfo } from '../../../graph-rewriter/types.js';
import { count, formatBytes, formatPercent, formatShape } from '../../format.js';
import { formatKept, formatNearMisses, formatStructure } from '../layers.js';
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
        const info = await inspectModel(path);
        const layers = withDefaultPlan(info);
        const { irVersion, opset, producer, bytes } = info;
        const json = { path, irVersion, opset, producer, bytes, layers, totals: totals(layers) };
        return { json, text: describe(info, layers, width) };
      }),
    );
}

/** A reason also where only the default plan gives one: a layer that is too small, for example. */
function withDefaultPlan(info: ModelInfo): LayerInfo[] {
  const plans = new Map(planLayers(info).map((plan) => [plan.id, plan]));
  return info.layers.map((layer) => {
    const plan = plans.get(layer.id);
    return plan && 'keep' in plan ? { ...layer, reason: plan.keep } : layer;
  });
}

interface Totals {
  readonly layers: number;
  readonly rewritable: number;
  /** Bytes of the distinct weights that would be rewritten. */
  readonly rewritableBytes: number;
}

function totals(layers: readonly LayerInfo[]): Totals {
  const rewritable = layers.filter((layer) => !layer.reason);
  const distinct = new Map(rewritable.map((layer) => [layer.weightKey ?? layer.id, layer.bytes]));
  const rewritableBytes = [...distinct.values()].reduce((sum, bytes) => sum + bytes, 0);
  return { layers: layers.length, rewritable: rewritable.length, rewritableBytes };
}

function describe(info: ModelInfo, layers: readonly LayerInfo[], width: number): string {
  const { rewritable, rewritableBytes } = totals(layers);
  const kept = layers.flatMap((layer) => (layer.reason ? [{ layer, reason: layer.reason }] : []));
  const producer = info.producer ? `, by ${info.producer}` : '';
  const parts = [
    `${info.path}: ${formatBytes(info.bytes)}, IR ${info.irVersion}, opset ${info.opset}${producer}`,
    layers.length ? formatTable(COLUMNS, layers.map(row), width) : 'No matrix product.',
    ...(kept.length ? [formatKept(kept, width)] : []),
    ...formatNearMisses(layers, width),
    `${count(layers.length, 'layer')}, ${rewritable} would be rewritten: ${formatBytes(rewritableBytes)}, ${formatPercent(rewritableBytes / info.bytes)} of the model`,
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
    layer.reason ? `no: ${layer.reason.code}` : [verdict(layer), ...absorbed(layer)].join(' + '),
  ];
}

function verdict({ factorized }: LayerInfo): string {
  return factorized
    ? `already ${formatStructure(factorized.spec)}: becomes ${operatorOf(factorized)}`
    : 'yes';
}

function operatorOf({ spec, interleaved }: FactorizedInfo): string {
  return operatorName(spec.structure, 'none', interleaved);
}

/** What the new node computes besides the product. */
function absorbed({ bias, activation }: LayerInfo): string[] {
  return [...(bias ? ['bias'] : []), ...(activation === 'none' ? [] : [activation])];
}
