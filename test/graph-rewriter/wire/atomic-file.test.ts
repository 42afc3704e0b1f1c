import { expect } from 'chai';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AtomicFile } from '../../../graph-rewriter/wire/atomic-file.js';
import { FileSource } from '../../../graph-rewriter/wire/source.js';
import { expectError } from '../helpers/errors.js';
import { workspace } from '../helpers/workspace.js';

describe('AtomicFile', () => {
  it('appears under its name only when it is committed', async () => {
    const folder = workspace();
    const target = join(folder, 'a.bin');
    const file = await AtomicFile.create(target);
    await file.write(Uint8Array.of(1, 2, 3));
    await file.align(8);
    expect(existsSync(target)).to.be.false;
    await file.commit(target);
    await file.discard();
    expect([...readFileSync(target)]).to.deep.equal([1, 2, 3, 0, 0, 0, 0, 0]);
    expect(readdirSync(folder)).to.deep.equal(['a.bin']);
  });

  it('leaves nothing when it is discarded, and an older file as it was', async () => {
    const folder = workspace();
    const target = join(folder, 'a.bin');
    writeFileSync(target, 'old');
    const file = await AtomicFile.create(target);
    await file.write(Uint8Array.of(1));
    await file.discard();
    expect(readFileSync(target, 'utf8')).to.equal('old');
    expect(readdirSync(folder)).to.deep.equal(['a.bin']);
  });

  it('copies ranges of a file longer than one chunk', async () => {
    const folder = workspace();
    const bytes = Uint8Array.from({ length: 9 << 20 }, (_, i) => i % 251);
    writeFileSync(join(folder, 'in'), bytes);
    const source = new FileSource(join(folder, 'in'));
    const file = await AtomicFile.create(join(folder, 'out'));
    await file.writePieces([{ source, start: 5, end: bytes.length - 3 }, Uint8Array.of(9)]);
    await file.commit(join(folder, 'out'));
    source.close();
    const written = readFileSync(join(folder, 'out'));
    expect(written.length).to.equal(bytes.length - 7);
    expect(written.findIndex((byte, i) => byte !== (i === bytes.length - 8 ? 9 : bytes[i + 5]))).to.equal(-1);
  });

  it('says what to do where the folder is missing', () =>
    expectError(
      () => AtomicFile.create(join(workspace(), 'no', 'a.onnx')),
      'IO',
      /cannot be written: The folder does not exist/,
    ));

  it('says what to do where the folder is read-only', async function () {
    // Not even root may create files there.
    if (!existsSync('/sys/kernel')) this.skip();
    await expectError(
      () => AtomicFile.create('/sys/kernel/a.onnx'),
      'IO',
      /may not be written to|is read-only/,
    );
  });

  it('says so where a folder has the name', async () => {
    const target = join(workspace(), 'a.onnx');
    mkdirSync(target);
    const file = await AtomicFile.create(target);
    await expectError(() => file.commit(target), 'IO', /There is a folder of that name/);
    await file.discard();
  });

  it('says so where the disk is full', async function () {
    if (!existsSync('/dev/full')) this.skip();
    const file = await AtomicFile.create(join(workspace(), 'a.onnx'));
    // A handle on the device that is always full stands in for the temporary file.
    const { open } = await import('node:fs/promises');
    const full = await open('/dev/full', 'w');
    const real = Reflect.get(file, 'handle') as Awaited<ReturnType<typeof open>>;
    Reflect.set(file, 'handle', full);
    await expectError(() => file.write(new Uint8Array(10)), 'IO', /The disk is full/);
    await real.close();
    await file.discard();
  });

  it('says so at the end where the disk was full while it wrote', async () => {
    const folder = workspace();
    const target = join(folder, 'a.onnx');
    const file = await AtomicFile.create(target);
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    Reflect.set(Reflect.get(file, 'handle') as object, 'datasync', () => Promise.reject(full));
    await file.write(new Uint8Array(64 << 20));
    await expectError(() => file.commit(target), 'IO', /The disk is full/);
    await file.discard();
    expect(readdirSync(folder)).to.deep.equal([]);
  });
});
