import { expect } from 'chai';
import { PNG } from 'pngjs';
import { pictureTensor } from '../../src/demo/picture.js';

/** A PNG whose pixel (x, y) is colour(x, y). */
const png = (width: number, height: number, colour: (x: number, y: number) => [number, number, number]) => {
  const picture = new PNG({ width, height });
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) picture.data.set([...colour(x, y), 255], (y * width + x) * 4);
  }
  return Uint8Array.from(PNG.sync.write(picture));
};

describe('pictureTensor', () => {
  it('puts channels in the order blue, green, red and scales to [-1, 1]', () => {
    const { dims, data } = pictureTensor(png(2, 48, () => [255, 0, 51]));
    expect(dims).to.deep.equal([1, 3, 48, 2]);
    const plane = 48 * 2;
    expect(data[0]).to.be.closeTo(51 / 127.5 - 1, 1e-6);
    expect(data[plane]).to.equal(-1);
    expect(data[2 * plane]).to.equal(1);
  });

  it('keeps every pixel of a picture that is 48 rows high', () => {
    const { data } = pictureTensor(png(5, 48, (x, y) => [0, 0, x * 40 + y]));
    for (let y = 0; y < 48; y++) {
      for (let x = 0; x < 5; x++) expect(data[y * 5 + x]).to.be.closeTo((x * 40 + y) / 127.5 - 1, 1e-6);
    }
  });

  it('keeps the aspect and interpolates between rows', () => {
    // 24 rows of brightness 10·y: between two of them, at a quarter and three quarters of the way.
    const { dims, data } = pictureTensor(png(3, 24, (_, y) => [10 * y, 10 * y, 10 * y]));
    expect(dims).to.deep.equal([1, 3, 48, 6]);
    const brightness = (row: number) => (Number(data[row * 6]) + 1) * 127.5;
    expect(brightness(0)).to.be.closeTo(0, 1e-4);
    expect(brightness(1)).to.be.closeTo(2.5, 1e-4);
    expect(brightness(2)).to.be.closeTo(7.5, 1e-4);
    expect(brightness(47)).to.be.closeTo(230, 1e-4);
  });
});
