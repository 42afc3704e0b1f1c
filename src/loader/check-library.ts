/** What can be said about a custom-op library by looking at its file, before any of its code runs. */
import { realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { describeHead, machineName, parseElf, readHead } from './elf.js';

const EXPECTED = 'expected the path of an ONNX Runtime custom-op library (a shared library for this machine)';

/**
 * @returns the library's real path, under which it is registered.
 * @throws BlockrankError LIBRARY_NOT_FOUND, LIBRARY_INVALID or LIBRARY_INCOMPATIBLE.
 */
export function checkLibraryFile(path: string): string {
  const real = realFile(path);
  const head = readHead(real);
  const elf = parseElf(head);
  if (!elf) throw new BlockrankError('LIBRARY_INVALID', `${real} is ${describeHead(head)}; ${EXPECTED}.`);
  if (elf.bits !== 64 || machineName(elf.machine) !== process.arch) {
    throw new BlockrankError(
      'LIBRARY_INCOMPATIBLE',
      `${real} was built for ${machineName(elf.machine)} (${elf.bits}-bit), but this process is ` +
        `${process.arch}. Use a build for ${process.platform}-${process.arch}.`,
    );
  }
  if (!elf.isSharedObject) {
    throw new BlockrankError('LIBRARY_INVALID', `${real} is an ELF file but not a shared one; ${EXPECTED}.`);
  }
  return real;
}

function realFile(path: string): string {
  if (typeof path !== 'string' || path === '') {
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `${EXPECTED}, got ${path === '' ? 'an empty string' : typeof path}.`,
    );
  }
  const absolute = resolve(path);
  try {
    const real = realpathSync(absolute);
    if (statSync(real).isFile()) return real;
  } catch (cause) {
    throw new BlockrankError('LIBRARY_NOT_FOUND', `There is no file ${absolute}; ${EXPECTED}.`, { cause });
  }
  throw new BlockrankError('LIBRARY_NOT_FOUND', `${absolute} is a directory; ${EXPECTED}.`);
}
