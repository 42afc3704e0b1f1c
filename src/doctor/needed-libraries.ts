/** Lists the shared libraries that an ELF file names as needed (DT_NEEDED), without loading it. 64-bit little-endian. */
import { closeSync, openSync, readSync } from 'node:fs';

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;
const PROGRAM_HEADER_BYTES = 56;
const DYNAMIC_ENTRY_BYTES = 16;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

/** Names in the file's order; empty where the file is not such an ELF file. */
export function neededLibraries(path: string): string[] {
  const file = openSync(path, 'r');
  try {
    const read = (offset: number, bytes: number) => {
      const block = new Uint8Array(bytes);
      return Buffer.from(block.buffer, 0, readSync(file, block, 0, bytes, offset));
    };
    const header = read(0, 64);
    if (header.length < 64 || header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2 || header[5] !== 1)
      return [];
    const segments = readSegments(header, read);
    const dynamic = segments.find((s) => s.type === PT_DYNAMIC);
    return dynamic ? readNeeded(read(dynamic.offset, dynamic.bytes), segments, read) : [];
  } finally {
    closeSync(file);
  }
}

function readSegments(header: Buffer, read: (offset: number, bytes: number) => Buffer): Segment[] {
  const count = header.readUInt16LE(56);
  const table = read(Number(header.readBigUInt64LE(32)), count * PROGRAM_HEADER_BYTES);
  return Array.from({ length: count }, (_, i) => {
    const at = i * PROGRAM_HEADER_BYTES;
    return {
      type: table.readUInt32LE(at),
      offset: Number(table.readBigUInt64LE(at + 8)),
      address: Number(table.readBigUInt64LE(at + 16)),
      bytes: Number(table.readBigUInt64LE(at + 32)),
    };
  });
}

function readNeeded(
  dynamic: Buffer,
  segments: readonly Segment[],
  read: (offset: number, bytes: number) => Buffer,
): string[] {
  const entries = Array.from({ length: Math.floor(dynamic.length / DYNAMIC_ENTRY_BYTES) }, (_, i) => ({
    tag: Number(dynamic.readBigUInt64LE(i * DYNAMIC_ENTRY_BYTES)),
    value: Number(dynamic.readBigUInt64LE(i * DYNAMIC_ENTRY_BYTES + 8)),
  }));
  const valueOf = (tag: number) => entries.find((e) => e.tag === tag)?.value ?? 0;
  const address = valueOf(DT_STRTAB);
  const home = segments.find(
    (s) => s.type === PT_LOAD && address >= s.address && address < s.address + s.bytes,
  );
  if (!home) return [];
  const strings = read(address - home.address + home.offset, valueOf(DT_STRSZ));
  return entries
    .filter((e) => e.tag === DT_NEEDED)
    .map((e) => strings.toString('latin1', e.value, strings.indexOf(0, e.value)));
}
