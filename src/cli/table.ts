// Tables of aligned columns for people, as wide as the terminal at most.

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** This column is wrapped where the table would be too wide; at most one. */
  readonly wrap?: boolean;
}

const GAP = '  ';
const LEAST_WRAPPED_WIDTH = 24;
/** Characters that take two columns of a terminal: East Asian wide and fullwidth. */
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/gu;

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
  const widths = columns.map((_, index) => Math.max(...all.map((row) => displayWidth(row[index]))));
  const wrapped = columns.findIndex((column) => column.wrap);
  if (wrapped >= 0) {
    const others = widths.reduce((sum, own, index) => sum + (index === wrapped ? 0 : own + GAP.length), 0);
    widths[wrapped] = Math.min(widths[wrapped], Math.max(LEAST_WRAPPED_WIDTH, width - others));
  }
  return all.flatMap((row) => formatRow(row, columns, widths)).join('\n');
}

function formatRow(row: readonly string[], columns: readonly Column[], widths: readonly number[]): string[] {
  const cells = row.map((cell, index) => (columns[index].wrap ? wrapText(cell, widths[index]) : [cell]));
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
