// `blockrank rewrite model.onnx -o out.onnx`
import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { BlockrankError } from '../../../graph-rewriter/errors.js';
import { LOSSES, type Loss } from '../../../graph-rewriter/gradient/index.js';
import { METHODS, STRUCTURES, type Method, type Structure } from '../../../graph-rewriter/factorize/types.js';
import { formatPlan, parsePlan } from '../../../graph-rewriter/plan.js';
import { isSameFile } from '../../../graph-rewriter/same-file.js';
import type {
  Compute,
  FactorType,
  LayerInfo,
  ModelInfo,
  RewritePlan,
} from '../../../graph-rewriter/types.js';
import type { CalibrationSource } from '../../calibrate.js';
import { isTokenFile } from '../../inputs/tokens.js';
import { defaultFolder } from '../../statistics/store.js';
import { SENSITIVITIES, type Sensitivity } from '../../sensitivity.js';
import { planModel, rewriteAs, type RewriteOptions } from '../../rewrite.js';
import { tryTarget } from '../../../graph-rewriter/write-model.js';
import { writeWhole } from '../../../graph-rewriter/wire/atomic-file.js';
import type { Device } from '../../device.js';
import { count, formatBytes, formatShape } from '../../format.js';
import { formatAssumed, formatBlocks, formatKept, formatRewriteReport } from '../layers.js';
import {
  blockCounts,
  compute,
  factorType,
  positive,
  repeated,
  share,
  tokenCounts,
  wholeNumber,
} from '../parsers.js';
import { deviceOption } from '../input-options.js';
import { runCommand, type CommandContext, type CommandResult } from '../run.js';
import { formatTable } from '../table.js';

interface Flags {
  readonly output?: string;
  readonly structure?: Structure | 'auto';
  readonly keep?: number;
  readonly maxBytes?: number;
  readonly maxError?: number;
  readonly allocate?: 'global' | 'uniform';
  readonly sensitivity?: Sensitivity;
  readonly loss?: Loss;
  readonly rank?: number;
  readonly blocks?: number | [number, number];
  readonly include?: string[];
  readonly exclude?: string[];
  readonly minSize?: number;
  readonly factors?: FactorType;
  readonly splitTied?: boolean;
  readonly compute?: Compute;
  readonly method?: Method;
  readonly iterations?: number;
  readonly seed?: number;
  readonly calibration?: string[];
  readonly rowLength?: number;
  readonly lengths?: string;
  readonly batch?: number;
  readonly mask?: string;
  readonly sequential?: boolean;
  readonly cache?: string;
  readonly plan?: string;
  readonly tokens?: number[];
  readonly keepDenseIfSlower: boolean;
  readonly planOut?: string;
  readonly recognisedOnly?: boolean;
  readonly dryRun?: boolean;
  readonly device?: Device;
  readonly overwrite?: boolean;
}

const UNCALIBRATED =
  'The factors were fitted to the weights alone. With --calibration <real inputs> they cost far less accuracy; compare with validate.';

export function addRewrite(program: Command): void {
  program
    .command('rewrite')
    .summary('replace dense weights by block low-rank ones')
    .description(
      'Replaces the dense weights of matrix products (MatMul, Gemm, 1×1 Conv, Einsum) by block low-rank factors and writes a model that runs anywhere.',
    )
    .argument('<model>', 'ONNX file')
    .option('-o, --output <file>', 'where to write the rewritten model (needed unless --dry-run)')
    .addOption(
      new Option(
        '--structure <name>',
        'form of the factors; auto chooses for each layer, with --calibration',
      ).choices([...STRUCTURES, 'auto']),
    )
    .addOption(new Option('--keep <share>', 'bytes kept of the rewritten weights, e.g. 0.5').argParser(share))
    .option('--max-bytes <n>', 'bytes of the whole model, instead of --keep', wholeNumber(1))
    .option('--max-error <loss>', 'predicted rise of the loss, instead of --keep', positive)
    .addOption(
      new Option(
        '--allocate <how>',
        'global: one budget for all layers, spent where it saves most (default with --calibration); uniform: the same share of every weight',
      ).choices(['global', 'uniform']),
    )
    .addOption(
      new Option('--sensitivity <how>', 'how layers are compared (default: gradient)').choices(SENSITIVITIES),
    )
    .addOption(
      new Option('--loss <name>', 'what gradients are taken of (default: by the outputs)').choices(LOSSES),
    )
    .addOption(
      new Option('--rank <n>', 'rank, instead of --keep').argParser(wholeNumber(1)).conflicts('keep'),
    )
    .option('--blocks <n|in,out>', 'blocks on either side of a weight', blockCounts)
    .option(
      '--include <glob>',
      'rewrite only layers whose node or weight name matches; may be repeated',
      repeated,
    )
    .option(
      '--exclude <glob>',
      'leave layers dense whose node or weight name matches; may be repeated',
      repeated,
    )
    .option('--recognised-only', 'rewrite nothing but layers that are low rank, BLAST or Monarch already')
    .option('--min-size <n>', 'leave weights with fewer elements dense', wholeNumber(0))
    .option(
      '--split-tied',
      'give a product whose weight is also an embedding factors of its own: faster, and larger',
    )
    .option('--factors <type>', 'type that factors are stored in: fp32, fp16, bf16 or int8', factorType)
    .option('--compute <type>', 'what kernels may compute products in: float, bf16 or int8', compute)
    .addOption(new Option('--method <name>', 'how BLAST is fitted').choices(METHODS))
    .option('--iterations <n>', 'sweeps of the fit', wholeNumber(1))
    .option('--seed <n>', 'seed of the fit', wholeNumber(0))
    .option(
      '--calibration <path>',
      'inputs to fit the factors to: test_data_set folders or .npz, may be repeated; or one file of token ids (.i32, .npy)',
      repeated,
    )
    .option('--row-length <n>', 'tokens in each row of a token file without a header', wholeNumber(1))
    .option('--lengths <file>', 'how many tokens of each row of a token file are no padding')
    .option('--batch <n>', 'rows of a token file in one run (default: 8)', wholeNumber(1))
    .option(
      '--mask <input>',
      'input whose zeros mark padding (default: attention_mask; none counts all rows)',
    )
    .option('--no-sequential', 'fit each layer to the original model alone, not to what is left before it')
    .option(
      '--cache <folder|off>',
      'keeps statistics of the model on these inputs for other budgets (default: ~/.cache/blockrank/statistics)',
    )
    .option('--tokens <n,…>', 'rows a run that must not get slower (default: 1,128)', tokenCounts)
    .option('--no-keep-dense-if-slower', 'rewrite layers too that the factors make slower on this machine')
    .option('--plan <file>', 'apply this plan instead of making one')
    .option('--plan-out <file>', 'write the plan as JSON, to edit and apply with --plan')
    .option('--dry-run', 'print the plan and write no model')
    .addOption(deviceOption('where the model runs and the fit is computed (default: cpu)'))
    .option('--overwrite', 'allow the output to be the input itself')
    .action((path: string, flags: Flags, command: Command) =>
      runCommand(command, (context) => runRewrite(path, flags, context)),
    );
}

async function runRewrite(path: string, flags: Flags, context: CommandContext): Promise<CommandResult> {
  requireConsistent(path, flags);
  const given = flags.plan === undefined ? undefined : parsePlan(await readFile(flags.plan, 'utf8'));
  const options = rewriteOptions(flags, context, given);
  const writes = !flags.dryRun && flags.output !== undefined;
  // Planning may calibrate, which takes long.
  if (writes) await tryTarget(path, flags.output, flags.overwrite ?? false);
  const planned = await planModel(path, options);
  const { info, plan } = planned;
  if (flags.planOut !== undefined) await writeWhole(flags.planOut, formatPlan(plan));
  if (flags.dryRun || flags.output === undefined) {
    return { json: plan, text: describePlan(info, plan, context.width) };
  }
  const report = await rewriteAs(path, flags.output, planned, options);
  const text = formatRewriteReport(report, context.width);
  const isFitted = report.layers.some(({ layer, result }) => result && !layer.factorized);
  return { json: report, text: flags.calibration || !isFitted ? text : `${text}\n\n${UNCALIBRATED}` };
}

function requireConsistent(model: string, flags: Flags): void {
  if (flags.output === undefined && !flags.dryRun && flags.planOut === undefined) {
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      'say where to write the model with -o, or give --dry-run to see the plan alone',
    );
  }
  const { planOut } = flags;
  if (
    planOut !== undefined &&
    [model, flags.output].some((other) => other !== undefined && isSameFile(other, planOut))
  ) {
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `--plan-out ${planOut} would replace the model: give the plan a file of its own`,
    );
  }
  const planning = [
    'structure',
    'keep',
    'maxBytes',
    'maxError',
    'allocate',
    'rank',
    'blocks',
    'include',
    'exclude',
    'minSize',
    'factors',
    'splitTied',
    'compute',
    'recognisedOnly',
  ] as const;
  const clash = planning.filter((name) => flags.plan !== undefined && flags[name] !== undefined);
  if (clash.length) {
    const names = clash.map((name) => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`).join(', ');
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `--plan says what is done with each layer: give it without ${names}, or edit the plan`,
    );
  }
}

function rewriteOptions(
  flags: Flags,
  context: CommandContext,
  plan: RewritePlan | undefined,
): RewriteOptions {
  const { maxBytes, maxError, allocate, sensitivity, loss } = flags;
  const { structure, keep, rank, blocks, include, exclude, minSize, splitTied, method, iterations, seed } =
    flags;
  const { recognisedOnly } = flags;
  const optional = {
    structure,
    keep,
    maxBytes,
    maxError,
    allocate,
    sensitivity,
    loss,
    rank,
    blocks,
    include,
    exclude,
    minSize,
    recognisedOnly,
    splitTied,
    method,
    iterations,
    seed,
    plan,
  };
  return {
    // Absent options are left out: the planner's own defaults hold.
    ...(Object.fromEntries(
      Object.entries(optional).filter(([, value]) => value !== undefined),
    ) as RewriteOptions),
    ...(flags.factors ? { factorType: flags.factors } : {}),
    keepDenseIfSlower: flags.keepDenseIfSlower,
    ...(flags.tokens ? { tokens: flags.tokens } : {}),
    ...(flags.compute ? { compute: flags.compute } : {}),
    ...(flags.calibration ? { calibration: calibrationSource(flags.calibration, flags) } : {}),
    ...(flags.mask === undefined ? {} : { mask: flags.mask === 'none' ? false : flags.mask }),
    ...(flags.sequential === false ? { sequential: false } : {}),
    cache: flags.cache === 'off' ? false : (flags.cache ?? defaultFolder()),
    ...(flags.device ? { device: flags.device } : {}),
    overwrite: flags.overwrite ?? false,
    signal: context.signal,
    onProgress: context.onProgress,
  };
}

function calibrationSource(paths: string[], { rowLength, lengths, batch }: Flags): CalibrationSource {
  const tokens = paths.find(isTokenFile);
  const options = { rowLength, lengths, batch };
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  if (tokens !== undefined && paths.length === 1) return { tokens: { path: tokens, ...given } };
  const expected =
    tokens !== undefined
      ? `one file of tokens by itself; found ${paths.length} paths`
      : '--row-length, --lengths and --batch with a file of tokens only (.i32, .npy)';
  if (tokens !== undefined || Object.keys(given).length > 0)
    throw new BlockrankError('INVALID_ARGUMENT', `--calibration: expected ${expected}`);
  return { paths };
}

function describePlan(info: ModelInfo, plan: RewritePlan, width: number): string {
  const layers = new Map(info.layers.map((layer) => [layer.id, layer]));
  const rewritten = plan.layers.flatMap((entry) => ('spec' in entry ? [entry] : []));
  const kept = plan.layers.flatMap((entry) =>
    'keep' in entry ? [{ layer: entry, reason: entry.keep }] : [],
  );
  const rows = rewritten.map(({ id, spec, factorType, compute }) => {
    const layer = layers.get(id) as LayerInfo;
    return [
      id,
      formatShape(layer.shape),
      formatBytes(layer.bytes),
      spec.structure,
      formatBlocks(spec),
      String(spec.rank),
      compute === undefined ? factorType : `${factorType}, computed in ${compute}`,
    ];
  });
  const columns = [
    { title: 'would be rewritten' },
    { title: 'in × out', align: 'right' },
    { title: 'size', align: 'right' },
    { title: 'as' },
    { title: 'blocks', align: 'right' },
    { title: 'rank', align: 'right' },
    { title: 'factors' },
  ] as const;
  return [
    ...(rows.length ? [formatTable(columns, rows, width)] : []),
    ...(kept.length ? [formatKept(kept, width)] : []),
    ...formatAssumed(plan.layers),
    `${count(rewritten.length, 'layer')} would be rewritten, ${kept.length} stay dense; no model was written`,
  ].join('\n\n');
}
