// Keeps measured times on disk, for the machine and the versions that they were measured with.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { LayerTime } from './time-layer.js';

type Entries = Record<string, LayerTime>;

export class TimeCache {
  private dirty = false;

  private constructor(
    private readonly path: string,
    private readonly machine: string,
    private readonly entries: Entries,
  ) {}

  /** A file that is missing or damaged counts as empty: times are measured again. */
  static async open(machine: string, path = defaultPath()): Promise<TimeCache> {
    const entries = await readFile(path, 'utf8').then(parse, () => ({}));
    return new TimeCache(path, machine, entries);
  }

  get(what: string, tokens: number): LayerTime | undefined {
    return this.entries[this.key(what, tokens)];
  }

  set(what: string, time: LayerTime): void {
    this.entries[this.key(what, time.tokens)] = time;
    this.dirty = true;
  }

  /** Written whole and renamed into place. A cache that cannot be written costs time, not the rewrite. */
  async save(): Promise<void> {
    if (!this.dirty) return;
    const temporary = `${this.path}.${process.pid}`;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      await writeFile(temporary, JSON.stringify(this.entries, null, 1));
      await rename(temporary, this.path);
    } catch {
      return;
    }
    this.dirty = false;
  }

  private key(what: string, tokens: number): string {
    return `${this.machine} | ${what} | ${tokens} tokens`;
  }
}

/** `$XDG_CACHE_HOME/blockrank/times.json`, or the same in `~/.cache`. */
function defaultPath(): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(cache, 'blockrank', 'times.json');
}

function parse(text: string): Entries {
  try {
    const entries: unknown = JSON.parse(text);
    if (typeof entries !== 'object' || entries === null) return {};
    return Object.fromEntries(
      Object.entries(entries).filter((entry): entry is [string, LayerTime] => isTime(entry[1])),
    );
  } catch {
    return {};
  }
}

function isTime(value: unknown): value is LayerTime {
  const { tokens, dense, factorized } = (value ?? {}) as Partial<LayerTime>;
  return [tokens, dense, factorized].every((number) => typeof number === 'number' && number > 0);
}
