// Carries out a plan: factorizes, swaps the nodes, writes the new model.
import { matchPlan } from './check-plan.js';
import { BiasStore } from './bias-store.js';
import { throwIfAborted } from './abort.js';
import { BlockrankError } from './errors.js';
import { externalBytes, findExternalTensors } from './external-tensors.js';
import { FactorizedLayers } from './factorized-layers.js';
import { findLayers, type Layer } from './layers.js';
import { openModel } from './inline/index.js';
import { DOMAIN, type Model } from './model.js';
import { addFunctions, setMetadata } from './model-edit.js';
import { Names } from './names.js';
import {
  functionSpecs,
  nameOf,
  portableFunctions,
  type Replacement,
  replacementNodes,
} from './replacement.js';
import { RefitLayers } from './refit-layers.js';
import { type Swap, swapNodes } from './swap.js';
import { TensorStore } from './tensor-store.js';
import type {
  ApplyOptions,
  LayerInfo,
  LayerPlan,
  LayerResult,
  Reason,
  RewritePlan,
  RewriteReport,
} from './types.js';
import { VERSION } from './version.js';
import { Edit } from './wire/edit.js';
import { checkTarget, INLINE_LIMIT, writeModel } from './write-model.js';

/** Throws INVALID_PLAN when the plan is for another file, INVALID_MODEL, EXTERNAL_DATA, IO, ABORTED, and what `factorize` throws. */
export async function applyPlan(
  source: string,
  target: string,
  plan: RewritePlan,
  options: ApplyOptions,
): Promise<RewriteReport> {
  checkTarget(source, target, options.overwrite ?? false);
  const model = openModel(source);
  let store: TensorStore | undefined;
  try {
    refuseRewritten(model);
    const sha256 = model.sha256();
    const bytesBefore = model.file.size + externalBytes(model);
    const layers = findLayers(model);
    const plans = matchPlan(plan, layers, sha256, model.opset);
    const isExternal = findExternalTensors(model).length > 0 || bytesBefore > INLINE_LIMIT;
    store = await TensorStore.create(target, isExternal);
    const names = new Names(model.graph);
    const factorized = new FactorizedLayers(options.factorize, store, names);
    const refits = new RefitLayers(options.refit, store, names);
    const done = await factorizeLayers({ factorized, refits }, layers, plans, options);
    throwIfAborted(options.signal);
    const biases = new BiasStore(store, names);
    const bytesAfter = await write(model, target, { store, biases, names, done, sha256 });
    return {
      source,
      target,
      bytesBefore,
      bytesAfter,
      layers: done.map(({ result }) => result),
    };
  } catch (error) {
    await store?.discard();
    throw error;
  } finally {
    await store?.close();
    model.close();
  }
}

interface Done {
  readonly result: LayerResult;
  readonly replacement?: Replacement;
  readonly refit?: Swap;
}

async function factorizeLayers(
  { factorized, refits }: { factorized: FactorizedLayers; refits: RefitLayers },
  layers: readonly Layer[],
  plans: readonly LayerPlan[],
  { onProgress, signal }: ApplyOptions,
): Promise<Done[]> {
  const total = plans.filter((plan) => 'spec' in plan).length;
  const results: Done[] = [];
  let done = 0;
  for (const [i, { info, match }] of layers.entries()) {
    throwIfAborted(signal);
    const plan = plans[i];
    if (!('spec' in plan) || match === undefined) {
      const refit = match && (await refits.get(info, match));
      results.push({
        result: { layer: info, plan, ...(refit && { refitted: true }) },
        ...(refit && { refit }),
      });
      continue;
    }
    const outcome = await factorized.get(info, match, plan);
    const { factorType, compute = 'float' } = plan;
    results.push(
      'code' in outcome
        ? kept(info, outcome)
        : rewritten(info, plan, { match, factorized: outcome, factorType, compute }),
    );
    onProgress?.(++done, total, info);
  }
  return results;
}

function kept(layer: LayerInfo, keep: Reason): Done {
  return { result: { layer, plan: { id: layer.id, keep } } };
}

function rewritten(layer: LayerInfo, plan: LayerPlan, replacement: Replacement): Done {
  const { errors, bytes, samples } = replacement.factorized;
  const result = {
    ...errors,
    ...(samples !== undefined && { samples }),
    bytesBefore: layer.bytes,
    bytesAfter: bytes,
    op: nameOf(replacement),
    fused: layer.fused,
  };
  return { replacement, result: { layer, plan, result } };
}

async function write(
  model: Model,
  target: string,
  {
    store,
    biases,
    names,
    done,
    sha256,
  }: { store: TensorStore; biases: BiasStore; names: Names; done: readonly Done[]; sha256: string },
): Promise<number> {
  const replacements = done.flatMap((layer) => layer.replacement ?? []);
  const refits = done.flatMap((layer) => layer.refit ?? []);
  if (replacements.length + refits.length === 0)
    return writeModel(model.asStored(), new Edit(), target, store, new Set());
  const specs = functionSpecs(replacements);
  const swaps: Swap[] = refits;
  for (const replacement of replacements) {
    const context = { biases, names, opset: model.opset };
    const { nodes, main } = await replacementNodes(replacement, specs.get(nameOf(replacement))!, context);
    swaps.push({ graph: replacement.match.graph, old: replacement.match.nodes, replacements: nodes, main });
  }
  const edit = new Edit();
  const removed = swapNodes(edit, swaps);
  if (replacements.length > 0) addFunctions(edit, model, portableFunctions(specs, model.opset));
  const layers = done.flatMap(({ result }) => summary(result) ?? []);
  setMetadata(edit, model, { version: VERSION, source: sha256, layers: JSON.stringify(layers) });
  return writeModel(model, edit, target, store, removed);
}

/** One entry of the metadata `blockrank.layers`. */
function summary({ layer, plan, result }: LayerResult) {
  if (result === undefined || !('spec' in plan)) return undefined;
  const { op, relativeError, weightedError } = result;
  const { spec, factorType, compute } = plan;
  return {
    node: layer.id,
    op,
    ...spec,
    factorType,
    ...(compute && { compute }),
    relativeError,
    weightedError,
  };
}

function refuseRewritten(model: Model): void {
  const isOurs = (domain: string) => domain === DOMAIN;
  if (
    model.graph.within().some(({ nodes }) => nodes.some((node) => isOurs(node.domain))) ||
    [...model.functions.keys()].some((name) => name.startsWith(`${DOMAIN}.`))
  )
    throw new BlockrankError(
      'UNSUPPORTED_MODEL',
      `${model.source.path} was rewritten by blockrank before. Rewrite the original model, or use densify first.`,
    );
}
