import { expect } from 'chai';
import { findDemoAssets, parseAlphabet, type DemoAssets } from '../../src/demo/assets.js';
import { readFeed, recognise, textOf } from '../../src/demo/recognise.js';
import { openSession } from '../../src/inputs/open-session.js';

describe('the demo model', () => {
  let assets: DemoAssets;
  before(async () => (assets = await findDemoAssets()));

  it('has an alphabet of 6625 classes from blank to space', () => {
    expect(assets.alphabet).to.have.length(6625);
    expect(assets.alphabet[0]).to.equal('');
    expect(assets.alphabet[6624]).to.equal(' ');
  });

  it('has no line in both the calibration and the test set', () => {
    const calibration = assets.calibration.map((line) => line.text);
    expect(calibration).to.have.length.above(10);
    expect(assets.test).to.have.length(4);
    for (const { text } of assets.test) expect(calibration).to.not.include(text);
  });

  it('reads every test picture as it is written', async () => {
    const session = await openSession(assets.model);
    for (const line of assets.test) {
      const output = await recognise(session, await readFeed(line, session.inputNames[0]));
      expect(textOf(output, assets.alphabet)).to.equal(line.text);
    }
    await session.release();
  });
});

describe('parseAlphabet', () => {
  it('keeps a line that is a space or an ideographic space', () => {
    expect(parseAlphabet('a\n　\nb\n')).to.deep.equal(['', 'a', '　', 'b', ' ']);
  });
});
