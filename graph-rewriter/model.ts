// An ONNX file opened for reading.
import { checkStructure } from './check-structure.js';
import { BlockrankError } from './errors.js';
import { ExternalFiles } from './external.js';
import { Graph } from './graph.js';
import { ENTRY, FUNCTION, GRAPH, isStandardDomain, MODEL, NODE, OPSET, TRAINING_INFO } from './schema.js';
import { Message } from './wire/message.js';
import { invalid } from './wire/scan.js';
import { sha256Of } from './wire/sha256.js';
import { FileSource, type Source } from './wire/source.js';

/** The oldest that ONNX Runtime promises to run. */
const OLDEST_OPSET = 7;
export const DOMAIN = 'ai.blockrank';

/** What a node names the function that it calls by. */
export function functionKey(domain: string, name: string, overload: string): string {
  return `${domain}.${name}${overload === '' ? '' : `:${overload}`}`;
}

export class Model {
  readonly irVersion: number;
  readonly producer: string;
  /** Version of the standard operators. */
  readonly opset: number;
  readonly graph: Graph;
  readonly functions: ReadonlyMap<string, Graph>;
  private hash: string | undefined;

  private constructor(
    readonly source: Source,
    readonly message: Message,
    readonly files: ExternalFiles,
    /** The file itself; `source` too, unless it is read through edits. */
    readonly file: Source = source,
  ) {
    this.irVersion = message.int(MODEL.irVersion);
    this.producer = message.string(MODEL.producerName);
    const graph = message.message(MODEL.graph);
    if (this.irVersion < 1 || graph === undefined)
      throw invalid(source, 0, this.irVersion < 1 ? 'no IR version' : 'no graph');
    this.opset = this.standardOpset();
    this.graph = Graph.of(graph, files, this.irVersion < 4);
    if (this.graph.outputs.size === 0) throw invalid(source, graph.start, 'a graph without outputs');
    this.functions = new Map(
      message
        .messages(MODEL.functions)
        .map((f) => [
          functionKey(f.string(FUNCTION.domain), f.string(FUNCTION.name), f.string(FUNCTION.overload)),
          Graph.ofFunction(f, files),
        ]),
    );
  }

  static open(path: string): Model {
    const source = new FileSource(path);
    const files = new ExternalFiles(path);
    try {
      checkStructure(source);
      return new Model(source, Message.of(source), files);
    } catch (error) {
      source.close();
      throw error;
    }
  }

  /** Values that the training information names. */
  trainingNames(): Set<string> {
    const names = this.message.messages(MODEL.trainingInfo).flatMap((info) => {
      const bindings = [TRAINING_INFO.initializationBinding, TRAINING_INFO.updateBinding];
      const graphs = [TRAINING_INFO.initialization, TRAINING_INFO.algorithm];
      const nodes = graphs.flatMap((field) => info.messages(field)).flatMap((g) => g.messages(GRAPH.node));
      return [
        ...bindings.flatMap((field) => info.messages(field)).map((entry) => entry.string(ENTRY.key)),
        ...nodes.flatMap((node) => node.strings(NODE.input)),
      ];
    });
    return new Set(names);
  }

  /** The same model as `source` has it, which reads this one's files. */
  readThrough(source: Source): Model {
    return new Model(source, Message.of(source), this.files, this.file);
  }

  /** Without what it is read through. */
  asStored(): Model {
    return this.source === this.file ? this : this.readThrough(this.file);
  }

  /** SHA-256 of the file, in hex, read once. */
  sha256(): string {
    return (this.hash ??= sha256Of(this.file));
  }

  close(): void {
    this.file.close();
    this.files.close();
  }

  private standardOpset(): number {
    const versions = this.message
      .messages(MODEL.opsetImport)
      .filter((opset) => isStandardDomain(opset.string(OPSET.domain)))
      .map((opset) => opset.int(OPSET.version));
    const opset = Math.max(0, ...versions);
    if (opset < OLDEST_OPSET)
      throw new BlockrankError(
        'UNSUPPORTED_MODEL',
        `${this.source.path} uses opset ${opset} of the standard operators; ${OLDEST_OPSET} is the oldest supported. Convert it with onnx.version_converter.`,
      );
    return opset;
  }
}
