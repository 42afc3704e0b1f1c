import { expect } from 'chai';
import protobuf from 'protobufjs/minimal.js';
import { Message } from '../../../graph-rewriter/wire/message.js';
import { BytesSource } from '../../../graph-rewriter/wire/source.js';
import { expectError } from '../helpers/errors.js';

function read(bytes: Uint8Array | number[]): Message {
  return Message.of(new BytesSource(Uint8Array.from(bytes)));
}

describe('Message', () => {
  it('finds fields of every wire type, in order', () => {
    const bytes = new protobuf.Writer()
      .uint32((1 << 3) | 0)
      .int64(-5)
      .uint32((2 << 3) | 2)
      .string('héllo')
      .uint32((3 << 3) | 5)
      .float(1.5)
      .uint32((4 << 3) | 1)
      .double(2.5)
      .uint32((5000 << 3) | 0)
      .uint32(7)
      .finish();
    const message = read(bytes);
    expect(message.spans.map((span) => span.field)).to.deep.equal([1, 2, 3, 4, 5000]);
    expect(message.int(1)).to.equal(-5);
    expect(message.string(2)).to.equal('héllo');
    expect(message.int(5000)).to.equal(7);
    expect(message.spans.at(-1)!.end).to.equal(bytes.length);
  });

  it('reads repeated numbers packed and unpacked', () => {
    const writer = new protobuf.Writer().uint32((1 << 3) | 0).int64(3);
    writer
      .uint32((1 << 3) | 2)
      .fork()
      .int64(300)
      .int64(-1)
      .ldelim();
    expect(read(writer.finish()).ints(1)).to.deep.equal([3, 300, -1]);
  });

  it('refuses numbers beyond 2^53, or clamps them', () => {
    const numbers = [2 ** 53 - 1, 2 ** 53, -(2 ** 53), 2 ** 63 - 1024, -(2 ** 63)];
    const writer = new protobuf.Writer();
    for (const number of numbers) writer.uint32((1 << 3) | 0).int64(number);
    const message = read(writer.finish());
    expect(() => message.ints(1)).to.throw(/the number 9007199254740992 at byte/);
    const most = Number.MAX_SAFE_INTEGER;
    expect(message.clampedInts(1)).to.deep.equal([most, most, -most, most, -most]);
  });

  it('gives the last of a repeated scalar, and defaults for absent ones', () => {
    const bytes = new protobuf.Writer().uint32(8).int64(1).uint32(8).int64(2).finish();
    expect(read(bytes).int(1)).to.equal(2);
    expect(read(bytes).string(9)).to.equal('');
    expect(read([]).spans).to.have.length(0);
  });

  const damaged: readonly [string, number[], RegExp][] = [
    ['a tag cut short', [0x80], /a number is cut short at byte 0/],
    ['a value cut short', [0x08], /a field is cut short at byte 1/],
    ['a length past the end', [0x0a, 0x05, 0x61], /field 1 ends past the end of its message at byte 0/],
    [
      'a length of 2^63',
      [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
      /field 1 ends past the end/,
    ],
    ['a fixed value cut short', [0x0d, 1, 2], /field 1 ends past the end/],
    ['a start of group', [0x0b, 0x0c], /wire type 3/],
    ['an end of group', [0x0c], /wire type 4/],
    ['wire type 7', [0x0f], /wire type 7/],
    ['field number 0', [0x00, 0x00], /field number 0/],
    ['a field number beyond 2^29', [0xf8, 0xff, 0xff, 0xff, 0x7f, 0x00], /field number/],
    [
      'a number of 11 bytes',
      [0x08, ...Array<number>(10).fill(0xff), 0x01],
      /a number has more than 10 bytes/,
    ],
  ];
  for (const [name, bytes, words] of damaged)
    it(`refuses ${name}`, () => expectError(() => read(bytes).spans, 'INVALID_MODEL', words));

  it('refuses a string where a message has a number, and the reverse', async () => {
    await expectError(() => read([0x08, 0x01]).string(1), 'INVALID_MODEL', /wire type 0 where 2 belongs/);
    await expectError(() => read([0x0d, 0, 0, 0, 0]).int(1), 'INVALID_MODEL', /wire type 5 where 0 belongs/);
  });

  it('refuses names that are not UTF-8', () =>
    expectError(() => read([0x0a, 0x02, 0xc3, 0x28]).string(1), 'INVALID_MODEL', /not UTF-8/));

  it('refuses integers that JavaScript cannot hold', () =>
    expectError(
      () => read(new protobuf.Writer().uint32(8).uint64('9223372036854775807').finish()).int(1),
      'INVALID_MODEL',
      /9223372036854775807/,
    ));

  it('refuses one message where two stand in its place', () =>
    expectError(() => read([0x0a, 0x00, 0x0a, 0x00]).message(1), 'INVALID_MODEL', /stands twice/));

  it('refuses messages nested without end', () => {
    let bytes: Uint8Array = new Uint8Array(0);
    for (let i = 0; i < 200; i++) bytes = new protobuf.Writer().uint32(10).bytes(bytes).finish();
    const descend = () => {
      for (let at: Message | undefined = read(bytes); at !== undefined;) at = at.messages(1)[0];
    };
    return expectError(descend, 'INVALID_MODEL', /nested deeper than 100/);
  });
});
