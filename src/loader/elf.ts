/** Reads the head of an ELF file: enough to say why it cannot be loaded here, or what it needs. */
import { closeSync, openSync, readSync } from 'node:fs';

export interface Elf {
  readonly bits: 32 | 64;
  /** e_machine: 62 x86-64, 183 AArch64. */
  readonly machine: number;
  readonly isSharedObject: boolean;
}

const HEADER_BYTES = 64;
const SHARED_OBJECT = 3;

const MACHINES: Record<number, string> = { 3: 'x86', 40: 'arm', 62: 'x64', 183: 'arm64', 243: 'riscv64' };

/** The machine's name as Node writes it in `process.arch`. */
export function machineName(machine: number): string {
  return MACHINES[machine] ?? `machine ${machine}`;
}

/** The first bytes of a file; fewer where it is shorter. */
export function readHead(path: string, bytes = HEADER_BYTES): Buffer {
  const file = openSync(path, 'r');
  try {
    const head = new Uint8Array(bytes);
    return Buffer.from(head.buffer, 0, readSync(file, head, 0, bytes, 0));
  } finally {
    closeSync(file);
  }
}

/** Null where the bytes do not start an ELF file. */
export function parseElf(head: Buffer): Elf | null {
  if (head.length < 20 || head.readUInt32BE(0) !== 0x7f454c46) return null;
  const littleEndian = head[5] === 1;
  const half = (offset: number) => (littleEndian ? head.readUInt16LE(offset) : head.readUInt16BE(offset));
  return { bits: head[4] === 2 ? 64 : 32, machine: half(18), isSharedObject: half(16) === SHARED_OBJECT };
}

/** What a file that is not ELF seems to be, for error messages. */
export function describeHead(head: Buffer): string {
  if (head.length === 0) return 'an empty file';
  if (head.toString('latin1', 0, 2) === 'MZ') return 'a Windows DLL';
  if ([0xcffaedfe, 0xcafebabe].includes(head.length >= 4 ? head.readUInt32BE(0) : 0))
    return 'a macOS library';
  return 'not a shared library';
}
