// A model of the table: what its factors are fitted to, and what a rewritten one is judged by.
import type { CalibrationSource } from '../../../src/calibrate.js';

export interface Subject {
  /** The original, in the folder of models. */
  readonly model: string;
  readonly exclude: readonly string[];
  /** For the uniform share too: some structure does not fit otherwise. */
  readonly blocks?: number;
  calibration(data: string): Promise<CalibrationSource>;
  /** Names of figures, and whether larger ones are better. */
  readonly figures: Readonly<Record<string, 'larger' | 'smaller'>>;
  judge(original: string, model: string, data: string): Promise<Record<string, number>>;
}
