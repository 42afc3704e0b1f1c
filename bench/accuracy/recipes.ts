// The ways of factorizing that the table compares, from none of the original's inputs to all that rewrite does by itself.
import type { RewriteOptions } from '../../src/rewrite.js';

export interface Recipe {
  readonly title: string;
  /** Of the command line, for who wants one row. */
  readonly flags: string;
  readonly isCalibrated: boolean;
  readonly options: RewriteOptions;
}

export const RECIPES: Readonly<Record<string, Recipe>> = {
  svd: {
    title: 'truncated SVD',
    flags: '--structure low-rank, no calibration',
    isCalibrated: false,
    options: { structure: 'low-rank' },
  },
  published: {
    title: 'BLAST as published',
    flags: '--structure blast --blocks 4 --method precgd, no calibration',
    isCalibrated: false,
    options: { structure: 'blast', blocks: 4, method: 'precgd' },
  },
  whitened: {
    title: 'whitened SVD',
    flags: '--structure low-rank --allocate uniform --no-sequential',
    isCalibrated: true,
    options: { structure: 'low-rank', allocate: 'uniform', sequential: false },
  },
  forward: {
    title: 'ours, forward passes only',
    flags: '--structure blast --iterations 20 --sensitivity forward',
    isCalibrated: true,
    options: { structure: 'blast', iterations: 20, sensitivity: 'forward' },
  },
  ours: {
    title: 'ours',
    flags: '--structure blast --iterations 20',
    isCalibrated: true,
    options: { structure: 'blast', iterations: 20 },
  },
};
