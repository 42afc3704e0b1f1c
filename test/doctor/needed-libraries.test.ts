import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { neededLibraries } from '../../src/doctor/needed-libraries.js';
import { fixture, ROOT } from '../loader/helpers.js';

describe('neededLibraries', () => {
  it('lists what the dynamic section names, in its order', () => {
    const library = fixture('throws');
    const listed = execFileSync('readelf', ['-d', library], { encoding: 'utf8' }).matchAll(
      /\(NEEDED\).*\[(.*)\]/g,
    );
    const expected = [...listed].map((match) => match[1]);
    expect(expected).to.include('libstdc++.so.6');
    expect(neededLibraries(library)).to.deep.equal(expected);
  });

  it('is empty for a file that is not ELF', () => {
    expect(neededLibraries(join(ROOT, 'package.json'))).to.deep.equal([]);
  });
});
