// Runs the parts of the network between groups, for the original and the compressed model.
import { dirname, resolve } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { throwIfAborted } from '../abort.js';
import type { Feeds } from '../calibration/index.js';
import { rowMask } from '../calibration/mask.js';
import { BlockrankError } from '../errors.js';
import type { Model } from '../model.js';
import type { Node } from '../node.js';
import { loadOnnxRuntime } from '../onnxruntime.js';
import type { Stage } from './stages.js';
import { SIDES, type Side, type States } from './states.js';
import { extract, type Override } from './subgraph.js';

interface Part {
  readonly session: Ort.InferenceSession;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: ReadonlySet<Node>;
}

export interface RunnerOptions {
  readonly inputs: AsyncIterable<Feeds> | Iterable<Feeds>;
  readonly mask: string | undefined;
  readonly sessionOptions: Ort.InferenceSession.SessionOptions;
  readonly signal: AbortSignal | undefined;
}

export class Runner {
  private readonly masks: Feeds[] = [];
  private started = false;

  constructor(
    private readonly model: Model,
    private readonly states: States,
    private readonly options: RunnerOptions,
    /** The value differs between the sides. */
    private readonly isChanged: (name: string) => boolean,
  ) {}

  get batches(): number {
    return this.masks.length;
  }

  /** Runs a stage batch by batch, with `visit` after each. Returns the nodes that ran on the compressed side. */
  async run(
    stage: Stage,
    overrides: ReadonlyMap<Node, Override>,
    visit: (batch: number) => Promise<void>,
  ): Promise<ReadonlySet<Node>> {
    const parts = new Map<Side, Part>();
    try {
      for await (const batch of this.batchNumbers()) {
        throwIfAborted(this.options.signal);
        if (batch === 0) for (const side of SIDES) await this.open(parts, side, stage, overrides);
        for (const [side, part] of parts) await this.runPart(part, side, batch);
        await visit(batch);
        for (const name of stage.lastReads) this.states.dropBatch(name, batch);
      }
    } finally {
      for (const { session } of parts.values()) await session.release();
    }
    for (const name of stage.lastReads) this.states.drop(name);
    return parts.get('compressed')?.nodes ?? new Set();
  }

  maskFor(batch: number, rows: number): Uint8Array {
    return rowMask(this.masks[batch], this.options.mask, rows);
  }

  /** The first stage goes through the inputs; later ones through what it left. */
  private async *batchNumbers(): AsyncGenerator<number> {
    if (this.started) {
      for (let batch = 0; batch < this.masks.length; batch++) yield batch;
      return;
    }
    this.started = true;
    const { mask } = this.options;
    for await (const feeds of this.options.inputs) {
      const batch = this.masks.length;
      this.masks.push(mask !== undefined && mask in feeds ? { [mask]: feeds[mask] } : {});
      for (const [name, tensor] of Object.entries(feeds)) this.states.put(name, 'dense', batch, tensor);
      yield batch;
    }
  }

  private async open(
    parts: Map<Side, Part>,
    side: Side,
    { makes, group }: Stage,
    overrides: ReadonlyMap<Node, Override>,
  ): Promise<void> {
    const outputs = side === 'dense' ? makes : makes.filter(this.isChanged);
    if (outputs.length === 0) return;
    const available = this.states.types();
    const part = extract(this.model, {
      outputs,
      available,
      overrides: side === 'dense' ? new Map() : overrides,
    });
    const { path } = this.model.file;
    const { extra, ...options } = this.options.sessionOptions;
    const session = { ...(extra?.session as object), ...external(path) };
    try {
      const opened = await loadOnnxRuntime().InferenceSession.create(part.bytes, {
        ...QUIET,
        ...options,
        extra: { ...extra, session },
      });
      parts.set(side, { session: opened, inputs: part.inputs, outputs, nodes: part.nodes });
    } catch (cause) {
      throw failed(path, group.input, cause);
    }
  }

  private async runPart({ session, inputs, outputs }: Part, side: Side, batch: number): Promise<void> {
    const feeds = Object.fromEntries(inputs.map((name) => [name, this.states.get(name, side, batch)]));
    try {
      const results = await session.run(feeds, [...outputs]);
      for (const name of outputs) this.states.put(name, side, batch, results[name]);
    } catch (cause) {
      throw failed(this.model.file.path, outputs[0], cause, batch);
    }
  }
}

const QUIET: Ort.InferenceSession.SessionOptions = { logSeverityLevel: 3, enableCpuMemArena: false };

/** Between runs the main thread works alone; spinning pool threads would only take its core. */
const external = (path: string) => ({
  force_spinning_stop: '1',
  model_external_initializers_file_folder_path: dirname(resolve(path)),
});

function failed(path: string, value: string, cause: unknown, batch?: number): BlockrankError {
  const where = batch === undefined ? '' : ` on calibration batch ${batch}`;
  return new BlockrankError(
    batch === undefined ? 'SESSION' : 'INVALID_INPUTS',
    `the part of ${path} up to '${value}' could not be run${where}: ${String(cause)}`,
    { cause },
  );
}
