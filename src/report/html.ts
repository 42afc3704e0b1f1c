// A report as one HTML page that needs nothing else: no script, no font, no network.
import { basename } from 'node:path';
import { formatBytes, formatNumber, formatPercent } from '../format.js';
import { errorAgainstBytes, escape, layerBars } from './svg.js';
import type { LayerReport, MatrixErrors, ModelAgreement, ModelReport, OutputAgreement } from './types.js';

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2433; --paper: #fff; --line: #d5dae3; --ours: #2f6fde; --int8: #0a8f62; --int4: #c2571a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8f0; --paper: #14181f; --line: #333b49; --ours: #6ea0ff; --int8: #43c795; --int4: #f0935a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-size: 13px; } td, th { border-bottom: 1px solid var(--line); padding: 4px 8px; text-align: right; } td:first-child, th:first-child { text-align: left; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; fill: var(--ink); } .label { text-anchor: end; }
.bar, .rewritten { fill: var(--ours); } .rival0, .rival1, .grid, .original { stroke: var(--line); } .rival0 { stroke: var(--int8); stroke-width: 3; } .rival1 { stroke: var(--int4); stroke-width: 3; } .quantized { fill: var(--int8); } .original { stroke-dasharray: 4 3; }
`;

export function renderReport(report: ModelReport): string {
  const { original, rewritten, layers, findings } = report;
  const title = `${basename(rewritten)} beside ${basename(original)}`;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)}</title><style>${STYLE}</style></head>
<body>
<h1>${escape(title)}</h1>
<p>${layers.length} layers are block low-rank; outputs compared on ${report.dataSets} data sets.</p>
<ul>${findings.map((finding) => `<li>${escape(finding)}</li>`).join('')}</ul>
<h2>Models</h2>
${modelTable(report.models)}
${errorAgainstBytes(report)}
<p>Of the rewritten model's error, the kernels' rounding is ${kernelShare(report.kernelError)}; the rest is the factorization.</p>
<h2>Error of each layer</h2>
<p>${describeBars(layers)}</p>
${layerBars(layers)}
<h2>Layers</h2>
${layerTable(layers)}
</body>
</html>
`;
}

function kernelShare(outputs: readonly OutputAgreement[]): string {
  return outputs
    .map(({ output, relativeError }) => `${formatNumber(relativeError)} (${escape(output)})`)
    .join(', ');
}

function describeBars(layers: readonly LayerReport[]): string {
  const seen = layers.some(({ errors }) => errors.activation !== null);
  const what = seen
    ? 'Relative error of the layer on the inputs that it saw'
    : 'Relative error of the weights (no inputs were given)';
  return `${what}; the ticks are its dense weight in int8 (green) and int4 (orange), at the right edge where they are beyond it.`;
}

function modelTable(models: readonly ModelAgreement[]): string {
  const rows = models.flatMap(({ name, bytes, outputs }) =>
    outputs.map(({ output, cosine, relativeError, sameTop1, perplexity }) => [
      name,
      formatBytes(bytes),
      output,
      cosine.toFixed(4),
      formatNumber(relativeError),
      sameTop1 === null ? '' : formatPercent(sameTop1),
      perplexity === null ? '' : perplexity.toFixed(2),
    ]),
  );
  return table(
    ['model', 'bytes', 'output', 'mean cosine', 'relative error', 'same top-1', 'perplexity'],
    rows,
  );
}

function layerTable(layers: readonly LayerReport[]): string {
  const rivals = Object.keys(layers[0]?.quantized ?? {});
  const rows = layers.map((layer) => [
    layer.id,
    `${layer.shape.in} × ${layer.shape.out}`,
    layer.op,
    `${layer.spec.blocksIn} × ${layer.spec.blocksOut}`,
    String(layer.spec.rank),
    `${formatBytes(layer.bytesAfter)} of ${formatBytes(layer.bytesBefore)}`,
    errorsOf(layer.errors),
    ...rivals.map(
      (name) => `${formatBytes(layer.quantized[name].bytes)}: ${errorsOf(layer.quantized[name])}`,
    ),
  ]);
  return table(
    ['layer', 'in × out', 'operator', 'blocks', 'rank', 'bytes', 'error: weight, activation', ...rivals],
    rows,
  );
}

function errorsOf({ weight, activation }: MatrixErrors): string {
  return activation === null ? formatNumber(weight) : `${formatNumber(weight)}, ${formatNumber(activation)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (tag: string, cells: readonly string[]) =>
    `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`;
  return `<div class="scroll"><table>${line('th', head)}${rows.map((row) => line('td', row)).join('\n')}</table></div>`;
}
