import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { zipSync } from 'fflate';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { halfToNumber } from '../../src/inputs/half.js';
import { parseNpy, parseNpz } from '../../src/inputs/npy.js';

const fixture = (name: string) => new Uint8Array(readFileSync(`test/inputs/fixtures/${name}`));

const failure = (act: () => unknown): BlockrankError => {
  try {
    act();
  } catch (error) {
    expect(error).to.be.instanceOf(BlockrankError);
    return error as BlockrankError;
  }
  throw new Error('expected an error');
};

describe('parseNpz on files that NumPy wrote', () => {
  const arrays = parseNpz(fixture('arrays.npz'), 'arrays.npz');
  const types = {
    f2: 'float16',
    f4: 'float32',
    f8: 'float64',
    i1: 'int8',
    i2: 'int16',
    i4: 'int32',
    i8: 'int64',
    u1: 'uint8',
    u2: 'uint16',
    u4: 'uint32',
    u8: 'uint64',
  } as const;

  for (const [code, type] of Object.entries(types)) {
    for (const variant of ['little', 'big', 'little_f', 'big_f']) {
      it(`reads ${code}, ${variant}`, () => {
        const array = arrays.get(`${code}_${variant}`)!;
        const values = Array.from(array.data as Iterable<number | bigint>, Number);
        expect(array.type).to.equal(type);
        expect(array.dims).to.deep.equal([2, 3]);
        expect(type === 'float16' ? values.map(halfToNumber) : values).to.deep.equal([0, 1, 2, 3, 4, 5]);
      });
    }
  }

  it('reads bools, scalars, one-element and empty arrays', () => {
    expect(arrays.get('bool')).to.deep.equal({ type: 'bool', dims: [2, 2], data: Uint8Array.of(1, 0, 0, 1) });
    expect(arrays.get('scalar')).to.deep.equal({ type: 'float32', dims: [], data: Float32Array.of(2.5) });
    expect(arrays.get('vector')).to.deep.equal({ type: 'int64', dims: [1], data: BigInt64Array.of(7n) });
    expect(arrays.get('empty')).to.deep.equal({ type: 'float32', dims: [0, 3], data: new Float32Array(0) });
  });

  it('puts a three-dimensional Fortran array in row-major order', () => {
    const cube = arrays.get('cube_f')!;
    expect(Array.from(cube.data as Float32Array)).to.deep.equal(Array.from({ length: 24 }, (_, i) => i));
  });

  it('reads header versions 1, 2 and 3, deflated', () => {
    const versions = parseNpz(fixture('versions.npz'), 'versions.npz');
    expect([...versions.keys()]).to.deep.equal(['v1', 'v2', 'v3']);
    for (const array of versions.values()) expect(array.data).to.deep.equal(Float32Array.of(0, 1, 2));
  });
});

describe('parseNpy on bytes that are wrong', () => {
  const npy = (header: string, content = new Uint8Array(0)) => {
    const text = new TextEncoder().encode(header);
    return Uint8Array.of(
      0x93,
      ...new TextEncoder().encode('NUMPY'),
      1,
      0,
      text.length,
      0,
      ...text,
      ...content,
    );
  };

  it('says that it expected the format', () => {
    const error = failure(() => parseNpy(Uint8Array.of(1, 2, 3), 'x.npy'));
    expect(error.code).to.equal('INVALID_INPUTS');
    expect(error.message).to.equal('x.npy: expected the .npy format, version 1, 2 or 3.');
  });

  it('names an element type that it does not know', () => {
    const bytes = npy(`{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }`);
    expect(failure(() => parseNpy(bytes, 'x.npy')).message).to.contain(
      "element type 'c8' is not one of f4, u1",
    );
  });

  it('refuses a structured array', () => {
    const bytes = npy(`{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }`);
    expect(failure(() => parseNpy(bytes, 'x.npy')).message).to.contain('expected a plain array');
  });

  it('counts the bytes that are missing', () => {
    const bytes = npy(`{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }`, new Uint8Array(12));
    expect(failure(() => parseNpy(bytes, 'x.npy')).message).to.contain(
      '[2, 2] of float32, 16 bytes, and 12 follow',
    );
  });

  it('refuses an archive that is none, and entries that are no arrays', () => {
    expect(failure(() => parseNpz(Uint8Array.of(1, 2), 'a.npz')).message).to.contain(
      'expected a zip archive',
    );
    const zip = zipSync({ 'readme.txt': Uint8Array.of(1) });
    expect(failure(() => parseNpz(zip, 'a.npz')).message).to.contain("the entry 'readme.txt'");
  });
});
