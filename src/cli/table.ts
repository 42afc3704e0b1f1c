// Tables of aligned columns for people, as wide as the terminal at most.

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Where the table would be too wide this column is wrapped; at most one. The others are cut in the middle. */
  readonly wrap?: boolean;
  /** This column is cut before the others are. */
  readonly minor?: boolean;
}

const GAP = '  ';
const LEAST_WRAPPED_WIDTH = 24;
/** Columns are not cut below this: names would tell nothing. */
const LEAST_WIDTH = 12;
/** Characters that take two columns of a terminal: East Asian wide and fullwidth. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/gu;

export function displayWidth(text: string): number {
  return [...text].length + (text.match(WIDE)?.length ?? 0);
}

/** Lines without trailing spaces, a title row first. `width` is that of the terminal; infinite where there is none. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = Infinity,
): string {
  const all = [columns.map((column) => column.title), ...rows];
  const natural = columns.map((_, index) => Math.max(...all.map((row) => displayWidth(row[index]))));
  const widths = fitWidths(columns, natural, width);
  return all.flatMap((row) => formatRow(row, columns, widths)).join('\n');
}

/** Takes from the wrapped column first, then from minor ones, then from whichever is widest. */
function fitWidths(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, own) => sum + own + GAP.length, -GAP.length) - width;
  const wrapped = columns.findIndex((column) => column.wrap);
  if (wrapped >= 0 && excess > 0) {
    const least = Math.min(widths[wrapped], Math.max(LEAST_WRAPPED_WIDTH, widths[wrapped] - excess));
    excess -= widths[wrapped] - least;
    widths[wrapped] = least;
  }
  for (const all of [false, true]) {
    for (; excess > 0; excess--) {
      const widest = columns.reduce((best, { wrap, minor }, index) => {
        const cuttable = !wrap && (all || minor) && widths[index] > LEAST_WIDTH;
        return cuttable && widths[index] > (widths[best] ?? 0) ? index : best;
      }, -1);
      if (widest < 0) break;
      widths[widest]--;
    }
  }
  return widths;
}

function formatRow(row: readonly string[], columns: readonly Column[], widths: readonly number[]): string[] {
  const cells = row.map((cell, index) =>
    columns[index].wrap ? wrapText(cell, widths[index]) : [cutMiddle(cell, widths[index])],
  );
  const height = Math.max(...cells.map((lines) => lines.length));
  return Array.from({ length: height }, (_, line) =>
    cells
      .map((lines, index) => pad(lines[line] ?? '', widths[index], columns[index].align))
      .join(GAP)
      .trimEnd(),
  );
}

function pad(text: string, width: number, align: Column['align']): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'right' ? space + text : text + space;
}

/** Long names differ at their ends: `/encoder/la…query/MatMul`. */
function cutMiddle(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  const characters = [...text];
  const tail = Math.ceil((width - 1) / 2);
  return `${characters.slice(0, width - 1 - tail).join('')}…${characters.slice(-tail).join('')}`;
}

/** Breaks `text` at spaces into lines of at most `width` columns; a longer word has a line of its own. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const extended = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && displayWidth(extended) <= width) lines[lines.length - 1] = extended;
    else lines.push(word);
  }
  return lines;
}
