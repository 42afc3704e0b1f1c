// Factorizes a network layer by layer, each fitted to what the layers before it have become.
import { readWeight } from '../weight.js';
import { matchPlan } from '../check-plan.js';
import { maskInput } from '../calibration/mask.js';
import { BlockrankError } from '../errors.js';
import { defaultEngine, type Engine } from '../factorize/engine.js';
import { findLayers } from '../layers.js';
import { openModel } from '../inline/index.js';
import type { Model } from '../model.js';
import type { Node } from '../node.js';
import type { StructureSpec } from '../factorize/types.js';
import type { FactorizeLayer, LayerInfo, RefitLayer } from '../types.js';
import { candidates } from './candidates.js';
import { findGroups, productOf, type Group, type Member, type Walk } from './groups.js';
import { ProductSums } from './product-sums.js';
import { Runner } from './runner.js';
import { solveMember, solveOneShot, type SolveOptions, type Solved } from './solve.js';
import { GroupTargets } from './group-targets.js';
import { planStages, type Stage } from './stages.js';
import { States } from './states.js';
import { StatisticsSum } from './statistics.js';
import type { Override } from './subgraph.js';
import type { SequentialRequest } from './types.js';

export type { SequentialRequest } from './types.js';

const STATE_LIMIT = 2 ** 29;

/**
 * Factorizes the layers of a model one after another, each fitted to what enters it once all layers before it have been
 * replaced, and to what the original model computes there (docs/sequential.md; accuracy.md calls it seq*).
 *
 * `factorize` and `refit` are for `applyPlan`: asked for a layer, the walk goes on until that layer is solved, so that no
 * more than a group's results are held. Close it when done.
 */
export class SequentialPass {
  private readonly overrides = new Map<Node, Override>();
  private readonly results = new Map<string, Solved>();
  private readonly states: States;
  private readonly products: ProductSums;
  private readonly runner: Runner;
  private readonly stages: readonly Stage[];
  private readonly solving: SolveOptions;
  private position = 0;

  private constructor(
    private readonly model: Model,
    private readonly walk: Walk,
    private readonly request: SequentialRequest,
  ) {
    const { sessionOptions = {}, signal, inputs } = request;
    this.stages = planStages(model.graph, walk);
    this.states = new States(request.stateLimit ?? STATE_LIMIT);
    const engine: Engine = request.engine ?? defaultEngine();
    const options = { logSeverityLevel: 3 as const, enableCpuMemArena: false, ...sessionOptions };
    this.products = new ProductSums(options, engine.gram?.bind(engine));
    const mask = maskInput(model.graph.inputs, request.mask);
    this.runner = new Runner(model, this.states, { inputs, mask, sessionOptions, signal }, this.isChanged);
    const { alpha = 0.5, ridge = 1e-3, bias = 'existing' } = request;
    this.solving = { ...request, engine, alpha, ridge, bias };
  }

  /** @throws BlockrankError INVALID_MODEL, INVALID_PLAN, INVALID_ARGUMENT for a mask that the model has not */
  static open(request: SequentialRequest): SequentialPass {
    const model = openModel(request.modelPath);
    try {
      const layers = findLayers(model);
      const plans = matchPlan(request.plan, layers, model.sha256(), model.opset);
      const walked = candidates(model.graph, layers, plans, request.refit ?? true);
      return new SequentialPass(model, findGroups(model.graph, walked), request);
    } catch (error) {
      model.close();
      throw error;
    }
  }

  /** Layers that are fitted by `oneShot`: their weights are shared, or they lie where the walk does not come. */
  covers(layer: LayerInfo): boolean {
    return this.walk.groups.some(({ members }) =>
      members.some(({ info, isOneShot }) => info.id === layer.id && !isOneShot),
    );
  }

  readonly factorize: FactorizeLayer = async (layer, weight, spec, factorType) => {
    const solved = await this.take(layer, spec);
    return solved?.factorization ?? this.request.oneShot(layer, weight, spec, factorType);
  };

  readonly refit: RefitLayer = async (layer) => (await this.take(layer))?.weight;

  async close(): Promise<void> {
    this.states.close();
    await this.products.close();
    this.model.close();
  }

  private readonly isChanged = (name: string) => this.walk.depths.has(name);

  private async take(layer: LayerInfo, spec?: StructureSpec): Promise<Solved | undefined> {
    const key = resultKey(layer, spec);
    while (!this.results.has(key) && this.position < this.stages.length) await this.solveNext();
    const result = this.results.get(key);
    if (result !== undefined && !result.isShared) this.results.delete(key);
    return result;
  }

  private async solveNext(): Promise<void> {
    const stage = this.stages[this.position];
    const { group } = stage;
    this.progress('calibrating', group.members[0]);
    const isSummed = group.members.some(({ isOneShot }) => !isOneShot);
    const sum = new StatisticsSum(group, this.isChanged);
    const ran = await this.runner.run(stage, this.overrides, async (batch) => {
      const maskFor = (rows: number) => this.runner.maskFor(batch, rows);
      if (isSummed) await sum.add(this.states, this.products, batch, maskFor);
    });
    for (const node of ran) this.overrides.delete(node);
    if (this.runner.batches === 0)
      throw new BlockrankError('INVALID_INPUTS', 'the calibration source holds no inputs');
    const targets = isSummed ? this.targets(group, sum) : undefined;
    for (const member of group.members) await this.solve(member, targets);
    this.position++;
    this.progress('factorizing', group.members.at(-1)!);
  }

  private targets({ input, members }: Group, sum: StatisticsSum): GroupTargets {
    const statistics = sum.statistics();
    if (statistics !== undefined) return new GroupTargets(this.solving, statistics, this.isChanged(input));
    throw new BlockrankError(
      'INVALID_INPUTS',
      `no calibration input reached ${members.map(({ info }) => info.id).join(', ')}: '${input}' had no rows in any batch. Calibrate on inputs that use it, or exclude it`,
    );
  }

  private async solve(member: Member, targets: GroupTargets | undefined): Promise<void> {
    const key = resultKey(member.info, 'spec' in member.plan ? member.plan.spec : undefined);
    let solved = this.results.get(key);
    if (solved === undefined) {
      const weight = readWeight(member.match);
      if ('code' in weight) return;
      this.progress('factorizing', member);
      solved =
        member.isOneShot || targets === undefined
          ? await solveOneShot(member, weight, this.solving)
          : await solveMember(member, weight, targets, this.solving);
      if (solved === undefined) return;
      this.results.set(key, solved);
    }
    this.overrides.set(productOf(member), solved.override);
  }

  private progress(what: string, { info }: Member): void {
    this.request.onProgress?.(`${what} ${info.id}`, this.position, this.stages.length);
  }
}

function resultKey(layer: LayerInfo, spec?: StructureSpec): string {
  return JSON.stringify([layer.weightKey, spec ?? layer.id]);
}
