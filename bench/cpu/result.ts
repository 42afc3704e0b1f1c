// What a run of bench:cpu saves.
import type { Cell } from './cells.js';
import type { Memory } from './memory.js';
import type { Micro, Phases } from './native.js';
import type { Siblings } from './siblings.js';

export interface Result {
  readonly date: string;
  readonly machine: {
    readonly node: unknown;
    readonly cpu: unknown;
    readonly isa: string | undefined;
    readonly onnxruntime: string | undefined;
    readonly threads: number;
  };
  readonly command: string;
  readonly cells: Cell[];
  micro?: Micro[];
  memory?: Memory[];
  siblings?: Siblings[];
  phases?: Phases[];
}
