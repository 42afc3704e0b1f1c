// A graph, or a function's body, with who makes and who reads each value.
import { nodeInCycle } from './cycles.js';
import { BlockrankError } from './errors.js';
import type { ExternalFiles } from './external.js';
import { Node } from './node.js';
import { ANNOTATION, ENTRY, FUNCTION, GRAPH, SPARSE_TENSOR, TENSOR, VALUE_INFO } from './schema.js';
import { Tensor } from './tensor.js';
import type { Message } from './wire/message.js';

interface GraphContent {
  readonly nodes: readonly Message[];
  readonly initializers: readonly Message[];
  readonly sparse: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly annotated: readonly string[];
}

export class Graph {
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Names of sparse initializers. */
  readonly sparse: ReadonlySet<string>;
  readonly inputs: ReadonlySet<string>;
  readonly outputs: ReadonlySet<string>;
  /** Scales and zero points that annotations name. */
  readonly annotated: ReadonlySet<string>;
  private readonly producers = new Map<string, Node>();
  private readonly readersOf = new Map<string, Node[]>();
  private readonly bodiesOf = new Map<Node, Graph[]>();
  /** Of the model's graph and all bodies in it. */
  private readonly places: Set<string>;

  private constructor(
    readonly message: Message,
    readonly files: ExternalFiles,
    /** The graph whose values this one may read. */
    readonly outer: Graph | undefined,
    /** Path of the nodes and bodies around this graph, each followed by a slash, made unique where names are not; '' for a model's. */
    readonly place: string,
    content: GraphContent,
  ) {
    this.places = outer?.places ?? new Set();
    this.nodes = content.nodes.map((node, index) => new Node(node, index));
    this.sparse = new Set(content.sparse);
    this.inputs = new Set(content.inputs);
    this.outputs = new Set(content.outputs);
    this.annotated = new Set(content.annotated);
    this.initializers = this.indexInitializers(content.initializers);
    for (const node of this.nodes) this.indexNode(node);
    const stuck = nodeInCycle(this);
    if (stuck !== undefined)
      throw new BlockrankError(
        'INVALID_MODEL',
        `${stuck.label} is part of a cycle, or behind one: what it reads cannot be computed before it runs.`,
      );
  }

  /** `oldInputs`: before IR 4 the inputs also listed every initializer, which did not make it replaceable. */
  static of(message: Message, files: ExternalFiles, oldInputs = false): Graph {
    return Graph.build(message, files, undefined, '', oldInputs);
  }

  private static build(
    message: Message,
    files: ExternalFiles,
    outer: Graph | undefined,
    place: string,
    oldInputs = false,
  ): Graph {
    const names = (field: number) => message.messages(field).map((info) => info.string(VALUE_INFO.name));
    const initializers = new Set(message.messages(GRAPH.initializer).map((t) => t.string(TENSOR.name)));
    return new Graph(message, files, outer, place, {
      nodes: message.messages(GRAPH.node),
      initializers: message.messages(GRAPH.initializer),
      sparse: message
        .messages(GRAPH.sparseInitializer)
        .map((t) => t.message(SPARSE_TENSOR.values)?.string(TENSOR.name) ?? ''),
      inputs: names(GRAPH.input).filter((name) => !oldInputs || !initializers.has(name)),
      outputs: names(GRAPH.output),
      annotated: message
        .messages(GRAPH.quantizationAnnotation)
        .flatMap((note) => note.messages(ANNOTATION.parameters).map((entry) => entry.string(ENTRY.value))),
    });
  }

  static ofFunction(message: Message, files: ExternalFiles): Graph {
    return new Graph(message, files, undefined, '', {
      nodes: message.messages(FUNCTION.node),
      initializers: [],
      sparse: [],
      inputs: message.strings(FUNCTION.input),
      outputs: message.strings(FUNCTION.output),
      annotated: [],
    });
  }

  /** Names of all values that nodes make. */
  get made(): Iterable<string> {
    return this.producers.keys();
  }

  producer(name: string): Node | undefined {
    return this.producers.get(name);
  }

  /** This graph or the nearest one around it that defines the value; this one where none does. */
  definerOf(name: string): Graph {
    return this.nearest(name) ?? this;
  }

  /** This graph and all bodies in it. */
  within(): Graph[] {
    return [this, ...[...this.bodiesOf.values()].flat().flatMap((body) => body.within())];
  }

  /** The nodes that name a value of this graph as an input, here and in bodies. */
  uses(name: string): { readonly node: Node; readonly graph: Graph }[] {
    return this.readers(name).flatMap((node) => [
      ...(node.inputs.includes(name) ? [{ node, graph: this as Graph }] : []),
      ...this.capturing(node, name).flatMap((body) => body.uses(name)),
    ]);
  }

  /** The value is an output of this graph, or of a body that captures it. */
  isOutput(name: string): boolean {
    return (
      this.outputs.has(name) ||
      this.readers(name).some((node) => this.capturing(node, name).some((body) => body.isOutput(name)))
    );
  }

  private capturing(node: Node, name: string): Graph[] {
    return this.bodies(node).filter((body) => !body.defines(name));
  }

  private nearest(name: string): Graph | undefined {
    return this.defines(name) ? this : this.outer?.nearest(name);
  }

  private defines(name: string): boolean {
    return (
      this.producers.has(name) ||
      this.initializers.has(name) ||
      this.inputs.has(name) ||
      this.sparse.has(name)
    );
  }

  /** Nodes of this graph that read the value, themselves or in their bodies. */
  readers(name: string): readonly Node[] {
    return this.readersOf.get(name) ?? [];
  }

  /** Bodies of a node, as graphs. */
  bodies(node: Node): readonly Graph[] {
    return this.bodiesOf.get(node) ?? [];
  }

  private indexInitializers(messages: readonly Message[]): Map<string, Tensor> {
    const initializers = new Map<string, Tensor>();
    for (const message of messages) {
      const name = message.string(TENSOR.name);
      if (initializers.has(name)) throw this.duplicate(name);
      initializers.set(name, new Tensor(message, name, this.files));
    }
    return initializers;
  }

  private indexNode(node: Node): void {
    for (const name of node.outputs) {
      if (name === '') continue;
      if (this.producers.has(name) || this.initializers.has(name)) throw this.duplicate(name);
      this.producers.set(name, node);
    }
    const bodies = node.bodies().map((body, i) => Graph.build(body, this.files, this, this.placeOf(node, i)));
    if (bodies.length > 0) this.bodiesOf.set(node, bodies);
    for (const name of new Set([...node.inputs, ...bodies.flatMap((body) => [...body.namesRead()])])) {
      if (name === '') continue;
      const readers = this.readersOf.get(name);
      if (readers === undefined) this.readersOf.set(name, [node]);
      else readers.push(node);
    }
  }

  private placeOf(node: Node, body: number): string {
    let name = node.id;
    while (this.places.has(`${this.place}${name}/${body}/`)) name += "'";
    const place = `${this.place}${name}/${body}/`;
    this.places.add(place);
    return place;
  }

  /** Every name read in here, also those defined in here: a superset of what is captured from outside. */
  private namesRead(): Set<string> {
    return new Set([...this.readersOf.keys(), ...this.outputs]);
  }

  /** The node reads the value, itself or in a body, where no value of the body has the name. */
  reads(node: Node, name: string): boolean {
    return (
      node.inputs.includes(name) ||
      this.capturing(node, name).some((body) => body.isOutput(name) || body.uses(name).length > 0)
    );
  }

  private duplicate(name: string): BlockrankError {
    return new BlockrankError('INVALID_MODEL', `The value '${name}' is defined twice in one graph.`);
  }
}
