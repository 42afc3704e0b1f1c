// The two plots of a report as SVG text.
import { formatBytes, formatNumber } from '../format.js';
import { meanError } from './findings.js';
import type { LayerReport, ModelReport } from './types.js';

const WIDTH = 880;
const ROW = 18;
const LABEL = 300;

export function escape(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (character) => entities[character]);
}

/** A bar a layer: its error on activations (of its numbers, where no inputs were given), and a tick for each quantization. */
export function layerBars(layers: readonly LayerReport[]): string {
  const error = ({ errors }: LayerReport) => errors.activation ?? errors.weight;
  const largest = Math.max(...layers.map(error), Number.EPSILON);
  const scale = (WIDTH - LABEL - 70) / largest;
  const rows = layers.map((layer, index) => {
    const y = index * ROW;
    const width = error(layer) * scale;
    const ticks = Object.entries(layer.quantized).map(([name, quantized], rival) => {
      const x = LABEL + Math.min((quantized.activation ?? quantized.weight) * scale, WIDTH - LABEL - 70);
      return `<line class="rival${rival}" x1="${fixed(x)}" x2="${fixed(x)}" y1="${y + 1}" y2="${y + ROW - 3}"><title>${escape(name)}: ${formatNumber(quantized.activation ?? quantized.weight)}</title></line>`;
    });
    return [
      `<text class="label" x="${LABEL - 8}" y="${y + 12}">${escape(shorten(layer.id))}</text>`,
      `<rect class="bar" x="${LABEL}" y="${y + 3}" width="${fixed(width)}" height="${ROW - 7}"><title>${escape(layer.id)}: ${formatNumber(error(layer))}</title></rect>`,
      ...ticks,
      `<text x="${fixed(LABEL + width + 6)}" y="${y + 12}">${formatNumber(error(layer))}</text>`,
    ].join('');
  });
  return svg(layers.length * ROW + 4, rows.join('\n'));
}

/** Each model's error against its bytes; the error on a logarithmic axis. The original, without error, is a line. */
export function errorAgainstBytes({ models }: ModelReport): string {
  const points = models
    .filter(({ what }) => what !== 'original')
    .map(({ name, what, bytes, outputs }) => ({ name, what, bytes, error: meanError(outputs) }))
    .filter(({ error }) => Number.isFinite(error) && error > 0);
  const original = models.find(({ what }) => what === 'original')!;
  if (points.length === 0) return '';
  const [height, left, bottom] = [300, 70, 260];
  const x = (bytes: number) => left + (bytes / original.bytes) * (WIDTH - left - 160);
  const decades = [...points.map(({ error }) => Math.log10(error))];
  const [low, high] = [Math.floor(Math.min(...decades)), Math.ceil(Math.max(...decades) + 1e-9)];
  const y = (error: number) => bottom - ((Math.log10(error) - low) / Math.max(1, high - low)) * (bottom - 20);
  const grid = Array.from({ length: high - low + 1 }, (_, step) => {
    const at = fixed(y(10 ** (low + step)));
    return `<line class="grid" x1="${left}" x2="${WIDTH - 20}" y1="${at}" y2="${at}"/><text class="label" x="${left - 8}" y="${at}">1e${low + step}</text>`;
  });
  const marks = points.map(
    ({ name, what, bytes, error }) =>
      `<circle class="${what}" cx="${fixed(x(bytes))}" cy="${fixed(y(error))}" r="6"/><text x="${fixed(x(bytes) + 10)}" y="${fixed(y(error) + 4)}">${escape(name)}, ${formatBytes(bytes)}</text>`,
  );
  const edge = fixed(x(original.bytes));
  const line = `<line class="original" x1="${edge}" x2="${edge}" y1="20" y2="${bottom}"/><text x="${edge}" y="14">original, ${formatBytes(original.bytes)}</text>`;
  const axis = `<text x="${left}" y="${height - 12}">bytes of the model (0 at the left) against relative error of its outputs</text>`;
  return svg(height, [...grid, line, ...marks, axis].join('\n'));
}

function svg(height: number, content: string): string {
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img">\n${content}\n</svg>`;
}

/** Two decimals: the same numbers give the same file. */
function fixed(value: number): string {
  return value.toFixed(2);
}

function shorten(id: string): string {
  return id.length <= 44 ? id : `${id.slice(0, 20)}…${id.slice(-23)}`;
}
