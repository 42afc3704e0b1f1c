import { expect } from 'chai';
import { displayWidth, formatTable, wrapText } from '../../src/cli/table.js';

describe('formatTable', () => {
  it('aligns columns, leaves no trailing spaces, and counts wide characters as two', () => {
    const columns = [{ title: 'name' }, { title: 'size', align: 'right' }, { title: 'x' }] as const;
    const table = formatTable(columns, [
      ['床前', '5', 'a'],
      ['b', '1234567', ''],
    ]);
    expect(table).to.equal(['name     size  x', '床前        5  a', 'b     1234567'].join('\n'));
    expect(displayWidth('床a')).to.equal(3);
  });

  it('wraps the column that may be wrapped', () => {
    const columns = [{ title: 'id' }, { title: 'why', wrap: true }];
    const lines = formatTable(columns, [['a', 'one two three four five six seven']], 30).split('\n');
    expect(lines).to.deep.equal(['id  why', 'a   one two three four five', '    six seven']);
  });

  it('cuts the widest column in the middle where none may be wrapped', () => {
    const name = '/encoder/layer.0/attention/query/MatMul';
    const table = formatTable([{ title: 'layer' }, { title: 'op' }], [[name, 'MatMul']], 30);
    for (const line of table.split('\n')) expect(displayWidth(line)).to.be.at.most(30);
    expect(table).to.contain('/encoder/l…uery/MatMul  MatMul');
  });

  it('cuts a minor column first', () => {
    const columns = [{ title: 'layer' }, { title: 'weight', minor: true }];
    const table = formatTable(columns, [['a'.repeat(20), 'b'.repeat(20)]], 36);
    expect(table).to.contain(`${'a'.repeat(20)}  ${'b'.repeat(6)}…${'b'.repeat(7)}`);
  });

  it('does not cut columns of twelve or fewer however narrow the terminal is', () => {
    expect(formatTable([{ title: 'a' }, { title: 'b' }], [['123456789012', 'xyz']], 5)).to.contain(
      '123456789012  xyz',
    );
  });

  it('writes the titles where there is no row', () => {
    expect(formatTable([{ title: 'a' }, { title: 'b' }], [])).to.equal('a  b');
  });
});

describe('wrapText', () => {
  it('gives a word that is too long a line of its own', () => {
    expect(wrapText('a incomprehensibilities b', 8)).to.deep.equal(['a', 'incomprehensibilities', 'b']);
  });
});
