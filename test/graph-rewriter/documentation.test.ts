import { expect } from 'chai';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { NOT_SUPPORTED } from '../../graph-rewriter/rules/index.js';
import { REASON_CODES } from '../../graph-rewriter/types.js';
import { layerModel, weightTensor } from './helpers/layer-model.js';
import { node } from './helpers/onnx.js';
import { save } from './helpers/workspace.js';

// From dist/test/graph-rewriter/.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PAGE = join(ROOT, 'docs', 'rewriting.md');
const SELF = 'documentation.test.ts';

interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function tables(text: string): Table[] {
  const blocks = text.split('\n\n').map((block) => block.split('\n').filter((line) => line.startsWith('|')));
  const cells = (line: string) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  return blocks
    .filter((lines) => lines.length > 2)
    .map(([header, , ...rows]) => ({ header: cells(header), rows: rows.map(cells) }));
}

function testSources(folder = join(ROOT, 'test')): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory()) return testSources(join(folder, entry.name));
    return entry.name.endsWith('.ts') && entry.name !== SELF
      ? [readFileSync(join(folder, entry.name), 'utf8')]
      : [];
  });
}

describe('docs/rewriting.md', () => {
  const all = tables(readFileSync(PAGE, 'utf8'));

  it('links every supported form to its test', () => {
    const forms = all.filter(({ header }) => header.at(-1) === 'test');
    expect(forms.map(({ rows }) => rows.length)).to.deep.equal([8, 11, 2, 7, 9, 6]);
    for (const row of forms.flatMap(({ rows }) => rows)) {
      const links = [...row.at(-1)!.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link);
      expect(links, row[0]).not.to.be.empty;
      for (const link of links) expect(existsSync(join(dirname(PAGE), link)), link).to.equal(true);
    }
  });

  it('explains every reason, and no other', () => {
    const reasons = all.find(({ header }) => header[0] === 'code')!;
    expect(reasons.rows.map(([code]) => code.replaceAll('`', '')).sort()).to.deep.equal(
      [...REASON_CODES].sort(),
    );
    for (const [code, meaning] of reasons.rows) expect(meaning, code).not.to.equal('');
  });

  it('has a test that reaches each reason', () => {
    const sources = testSources();
    const unreached = REASON_CODES.filter((code) => !sources.some((source) => source.includes(`'${code}'`)));
    expect(unreached).to.deep.equal([]);
  });
});

describe('NOT_SUPPORTED', () => {
  for (const [opType, what] of NOT_SUPPORTED)
    it(`lists ${opType} with what it is`, async () => {
      const nodes = [node(opType, ['x', 'w'], ['y'], {}, { name: 'fc', domain: 'com.elsewhere' })];
      const { layers } = await inspectModel(
        save(layerModel({ nodes, initializers: [weightTensor('inOut')] })),
      );
      expect(layers[0].reason).to.include({ code: 'operator-not-supported' });
      expect(layers[0].reason?.message).to.contain(`'fc' ${what}`);
    });
});
