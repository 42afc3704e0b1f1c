import { expect } from 'chai';
import protobuf from 'protobufjs/minimal.js';
import { Edit } from '../../../graph-rewriter/wire/edit.js';
import { Message } from '../../../graph-rewriter/wire/message.js';
import { delimited, totalLength, varintField } from '../../../graph-rewriter/wire/pieces.js';
import { BytesSource } from '../../../graph-rewriter/wire/source.js';
import { random } from '../helpers/reference.js';
import { flatten } from '../helpers/unknown-fields.js';

function open(bytes: Uint8Array): Message {
  return Message.of(new BytesSource(bytes));
}

/** {1: 7, 2: {3: text, 4: {5: 9}}, 6: 8} */
const nested = new protobuf.Writer()
  .uint32(8)
  .int64(7)
  .uint32(18)
  .fork()
  .uint32(26)
  .string('text')
  .uint32(34)
  .fork()
  .uint32(40)
  .int64(9)
  .ldelim()
  .ldelim()
  .uint32(48)
  .int64(8)
  .finish();

describe('Edit', () => {
  it('copies a message without changes in one range', () => {
    const message = open(nested);
    const pieces = new Edit().render(message);
    expect(pieces).to.have.length(1);
    expect([...flatten(pieces)]).to.deep.equal([...nested]);
  });

  it('remakes the lengths above a change and copies the rest', () => {
    const message = open(nested);
    const inner = message.messages(2)[0].messages(4)[0];
    const edit = new Edit();
    edit.append(inner, [varintField(5, 300)]);
    const result = open(flatten(edit.render(message)));
    expect(result.int(1)).to.equal(7);
    expect(result.int(6)).to.equal(8);
    expect(result.messages(2)[0].string(3)).to.equal('text');
    expect(result.messages(2)[0].messages(4)[0].ints(5)).to.deep.equal([9, 300]);
  });

  it('replaces, removes and keeps the order of fields', () => {
    const message = open(nested);
    const edit = new Edit();
    edit.remove(message, message.all(1)[0]);
    edit.replace(message, message.all(6)[0], [varintField(60, 1), varintField(61, 2)]);
    const result = open(flatten(edit.render(message)));
    expect(result.spans.map((span) => span.field)).to.deep.equal([2, 60, 61]);
  });

  it('lets a replacement win over changes below it', () => {
    const message = open(nested);
    const edit = new Edit();
    edit.append(message.messages(2)[0], [varintField(9, 1)]);
    edit.remove(message, message.all(2)[0]);
    expect(open(flatten(edit.render(message))).spans.map((span) => span.field)).to.deep.equal([1, 6]);
  });

  it('is undone to the same bytes, over random messages', () => {
    const numbers = random(400, 5);
    const writer = new protobuf.Writer();
    for (const [i, number] of numbers.entries())
      writer
        .uint32(((1 + (i % 90)) << 3) | 2)
        .bytes(new Uint8Array(Math.floor(Math.abs(number) * 40)).fill(i));
    const bytes = writer.finish();
    const message = open(bytes);
    for (const span of message.spans.filter((_, i) => i % 37 === 0)) {
      const edit = new Edit();
      edit.append(message, [varintField(1000, 5)]);
      edit.replace(message, span, delimited(1001, [new Uint8Array(3)]));
      const edited = flatten(edit.render(message));
      expect(edited.length).to.equal(totalLength(edit.render(message)));
      const changed = open(edited);
      const undo = new Edit();
      undo.remove(changed, changed.all(1000)[0]);
      undo.replace(changed, changed.all(1001)[0], [bytes.subarray(span.tag, span.end)]);
      expect([...flatten(undo.render(changed))]).to.deep.equal([...bytes]);
    }
  });
});
