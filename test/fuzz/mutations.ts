// Damage: to the bytes of a file, to the fields of its messages, and to what its tensors hold.
import type { Random } from './random.js';
import { cloneTree, concat, encodeTree, type Field, walk } from './wire-tree.js';

type Place = ReturnType<typeof walk> extends Generator<infer T> ? T : never;
type TreeMutation = (random: Random, places: readonly Place[], donor: readonly Place[]) => void;

const NUMBERS = [0n, 1n, 2n, 3n, 7n, 16n, 127n, 128n, 255n, 65536n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n];
const HUGE = [2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 2n];
const TEXTS = [
  '',
  'x',
  'y',
  'w',
  '../w',
  '/etc/passwd',
  'ai.blockrank',
  'MatMul',
  'Gemm',
  'w.V',
  '\0',
  'a/b',
  '😀',
];

/** Between one and four changes, and the name of each. `donor`: the tree that fields are spliced in from. */
export function mutate(
  tree: readonly Field[],
  donor: readonly Field[],
  random: Random,
): { bytes: Uint8Array; applied: string[] } {
  const changed = cloneTree(tree);
  const donorPlaces = [...walk(cloneTree(donor))];
  const applied: string[] = [];
  const count = 1 + (random.chance(2) ? 0 : random.pick(4));
  let bytes: Uint8Array | undefined;
  for (let i = 0; i < count; i++) {
    if (bytes === undefined && !random.chance(4)) {
      const name = random.oneOf(TREE_NAMES);
      TREE_MUTATIONS[name](random, [...walk(changed)], donorPlaces);
      applied.push(name);
    } else {
      bytes ??= encodeTree(changed);
      const name = random.oneOf(BYTE_NAMES);
      bytes = BYTE_MUTATIONS[name](random, bytes);
      applied.push(name);
    }
  }
  return { bytes: bytes ?? encodeTree(changed), applied };
}

const BYTE_MUTATIONS = {
  setByte: (random, bytes) => changeAt(bytes, random, () => random.pick(256)),
  flipBit: (random, bytes) => changeAt(bytes, random, (byte) => byte ^ (1 << random.pick(8))),
  truncate: (random, bytes) => bytes.subarray(0, random.pick(bytes.length + 1)),
  repeatBytes(random, bytes) {
    const [start, end] = stretch(random, bytes);
    return concat([bytes.subarray(0, end), bytes.subarray(start)]);
  },
  removeBytes(random, bytes) {
    const [start, end] = stretch(random, bytes);
    return concat([bytes.subarray(0, start), bytes.subarray(end)]);
  },
  overwriteBytes(random, bytes) {
    const [start, end] = stretch(random, bytes);
    const copy = bytes.slice();
    copy.copyWithin(random.pick(bytes.length + 1), start, end);
    return copy;
  },
  appendGarbage: (random, bytes) =>
    concat([bytes, Uint8Array.from({ length: 1 + random.pick(20) }, () => random.pick(256))]),
} satisfies Record<string, (random: Random, bytes: Uint8Array) => Uint8Array>;

const TREE_MUTATIONS: Record<string, TreeMutation> = {
  removeField(random, places) {
    const { at, among } = random.oneOf(places);
    among.splice(among.indexOf(at), 1);
  },
  repeatField(random, places) {
    const { at, among } = random.oneOf(places);
    const times = random.chance(20) ? 1000 : 1;
    // A thousand copies of a small field, not of a model.
    const copies = at.children && times > 1 ? 1 : times;
    among.splice(
      random.pick(among.length + 1),
      0,
      ...Array.from({ length: copies }, () => cloneTree([at])[0]),
    );
  },
  swapFields(random, places) {
    const [a, b] = [random.oneOf(places), random.oneOf(places)];
    if (contains(a.at, b.at) || contains(b.at, a.at)) return;
    [a.among[a.among.indexOf(a.at)], b.among[b.among.indexOf(b.at)]] = [b.at, a.at];
  },
  spliceField(random, places, donor) {
    const { at, among } = random.oneOf(places);
    const alike = donor.filter(({ at: other }) => other.kind === at.kind && other.field === at.field);
    const [copy] = cloneTree([random.oneOf(alike.length > 0 && !random.chance(4) ? alike : donor).at]);
    among.splice(among.indexOf(at), random.pick(2), copy);
  },
  copyValue(random, places) {
    const { at } = random.oneOf(places);
    const alike = places.filter(({ at: other }) => other.wire === at.wire && !contains(other, at));
    if (alike.length === 0) return;
    const { value, children } = random.oneOf(alike).at;
    at.value = value;
    if (at.children && children) at.children = cloneTree(children);
  },
  setNumber(random, places) {
    const numbers = places.filter(({ at }) => at.wire === 0);
    if (numbers.length > 0) random.oneOf(numbers).at.value = number(random);
  },
  setText(random, places) {
    const texts = places.filter(
      ({ at }) => at.wire === 2 && !at.children && (at.value as Uint8Array).length < 200,
    );
    if (texts.length === 0) return;
    const { at } = random.oneOf(texts);
    at.value = random.chance(3)
      ? new TextEncoder().encode(random.oneOf(TEXTS))
      : random.oneOf(texts).at.value;
  },
  setLength(random, places) {
    const { at } = random.oneOf(places.filter(({ at }) => at.wire === 2));
    const length = BigInt(at.children ? encodeTree(at.children).length : (at.value as Uint8Array).length);
    at.claimed = random.chance(3) ? number(random) : length + BigInt(random.pick(9) - 4);
  },
  setFieldNumber(random, places) {
    random.oneOf(places).at.field = random.chance(4) ? 1 + random.pick(1000) : 1 + random.pick(30);
  },
  setWireType(random, places) {
    const { at } = random.oneOf(places);
    at.wire = random.pick(8);
  },
  damageTensor(random, places) {
    const tensors = places.filter(({ at }) => at.kind === 'tensor' && at.children);
    if (tensors.length > 0) damageTensor(random, random.oneOf(tensors).at.children!);
  },
  reshapeValue(random, places) {
    const dims = places.filter(({ at }) => at.kind === 'dim' && at.children);
    if (dims.length === 0) return;
    random.oneOf(dims).at.children = [{ field: 1, wire: 0, kind: 'leaf', value: number(random) }];
  },
  /** The first graph below itself, again and again: a bomb of bodies. */
  nestBodies(random, places) {
    const attributes = places.filter(({ at }) => at.kind === 'attribute' && at.children);
    if (attributes.length === 0) return;
    const { at } = random.oneOf(attributes);
    let inner: Field[] = [];
    for (let depth = 1 + random.pick(200); depth > 0; depth--) {
      const body: Field = { field: 6, wire: 2, kind: 'graph', value: new Uint8Array(0), children: inner };
      const attribute: Field = { ...body, field: 5, kind: 'attribute', children: [body] };
      inner = [{ ...body, field: 1, kind: 'node', children: [attribute] }];
    }
    at.children!.push({ field: 6, wire: 2, kind: 'graph', value: new Uint8Array(0), children: inner });
  },
};

const TREE_NAMES = Object.keys(TREE_MUTATIONS);
const BYTE_NAMES = Object.keys(BYTE_MUTATIONS) as (keyof typeof BYTE_MUTATIONS)[];

/** dims 1, data_type 2, raw_data 9, external_data 13, data_location 14. */
function damageTensor(random: Random, tensor: Field[]): void {
  const leaf = (field: number, value: bigint): Field => ({ field, wire: 0, kind: 'leaf', value });
  const raw = tensor.find(({ field, wire }) => field === 9 && wire === 2);
  const data = raw?.value as Uint8Array | undefined;
  switch (random.pick(7)) {
    case 0:
      return void tensor.push(leaf(1, number(random)));
    case 1:
      return void tensor.unshift(leaf(2, BigInt(random.pick(26))));
    case 2:
      return void tensor.push(leaf(2, BigInt(random.pick(26))));
    case 3:
      if (raw && data) raw.value = data.subarray(0, random.pick(data.length + 1));
      return;
    case 4:
      if (raw && data) raw.value = concat([data, data.subarray(0, 1 + random.pick(8))]);
      return;
    case 5:
      if (raw && data && data.length >= 8) raw.value = withNumber(random, data);
      return;
    default:
      tensor.push(leaf(14, 1n), pair('location', random.oneOf([...TEXTS, 'w.data'])));
      if (random.chance(2)) tensor.push(pair('offset', String(number(random))));
      if (random.chance(2)) tensor.push(pair('length', String(number(random))));
  }
}

function withNumber(random: Random, data: Uint8Array): Uint8Array {
  const copy = data.slice();
  const at = 4 * random.pick(Math.floor(data.length / 4));
  const value = random.oneOf([NaN, Infinity, -Infinity, 3e38, -3e38, 1e-45, 0]);
  new DataView(copy.buffer, copy.byteOffset).setFloat32(at, value, true);
  return copy;
}

function pair(key: string, value: string): Field {
  const text = (field: number, content: string): Field => ({
    field,
    wire: 2,
    kind: 'leaf',
    value: new TextEncoder().encode(content),
  });
  return {
    field: 13,
    wire: 2,
    kind: 'pair',
    value: new Uint8Array(0),
    children: [text(1, key), text(2, value)],
  };
}

function number(random: Random): bigint {
  return random.chance(3) ? random.oneOf(HUGE) : random.oneOf(NUMBERS);
}

function contains(outer: Field, inner: Field): boolean {
  return outer === inner || (outer.children ?? []).some((child) => contains(child, inner));
}

function changeAt(bytes: Uint8Array, random: Random, change: (byte: number) => number): Uint8Array {
  const copy = bytes.slice();
  const at = random.pick(bytes.length);
  if (bytes.length > 0) copy[at] = change(copy[at]);
  return copy;
}

function stretch(random: Random, bytes: Uint8Array): [number, number] {
  const start = random.pick(bytes.length + 1);
  return [start, Math.min(bytes.length, start + 1 + random.pick(random.chance(4) ? 400 : 20))];
}
