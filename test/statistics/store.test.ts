import { expect } from 'chai';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Store } from '../../src/statistics/store.js';

describe('Store', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blockrank-store-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const entry = {
    meta: { name: 'ä', list: [1, 2] },
    arrays: [Float32Array.of(1.5, -0, NaN), new Float64Array(0), Float64Array.of(Math.PI)],
  };

  it('gives back exactly what was put', async () => {
    const store = new Store(join(folder, 'new', 'folder'));
    await store.put('a', entry);
    expect(await store.get('a')).to.eql(entry);
    expect(await store.get('b')).to.equal(undefined);
  });

  it('leaves out an entry with any byte changed or missing, and says which', async () => {
    const damaged: string[] = [];
    const store = new Store(folder, undefined, (path) => damaged.push(path));
    await store.put('a', entry);
    const path = join(folder, (await readdir(folder))[0]);
    const bytes = Uint8Array.from(await readFile(path));
    let cases = 0;
    for (let at = 0; at < bytes.length; at += 7) {
      await writeFile(path, at % 2 === 0 ? bytes.with(at, bytes[at] ^ 4) : bytes.subarray(0, at));
      expect(await store.get('a'), `byte ${at}`).to.equal(undefined);
      expect(await readdir(folder)).to.eql([]);
      cases++;
    }
    expect(damaged).to.eql(Array(cases).fill(path));
    await writeFile(path, bytes);
    expect(await store.get('a')).to.eql(entry);
  });

  it('removes what was not used for longest when it is full, and keeps nothing beyond its limit', async () => {
    const store = new Store(folder, 3000);
    const kilobyte = { meta: null, arrays: [new Float64Array(100)] };
    for (const [age, key] of ['a', 'b', 'c'].entries()) {
      await store.put(key, kilobyte);
      const names = await readdir(folder);
      const path = join(
        folder,
        names.find((name) => name.startsWith(key))!,
      );
      await utimes(path, age + 1, age + 1);
    }
    await store.get('a');
    await store.put('d', kilobyte);
    expect((await readdir(folder)).map((name) => name[0]).sort()).to.eql(['a', 'c', 'd']);
    await store.put('e', { meta: null, arrays: [new Float64Array(1000)] });
    expect(await store.get('e')).to.equal(undefined);
  });

  it('does without a folder that cannot be written', async () => {
    await writeFile(join(folder, 'file'), '');
    const store = new Store(join(folder, 'file'));
    await store.put('a', entry);
    expect(await store.get('a')).to.equal(undefined);
  });
});
