// A picture of a line of text as the input of PP-OCRv4's recognition model.
import { PNG } from 'pngjs';
import type { TensorValue } from '../inputs/element-types.js';

const HEIGHT = 48;
/** pngjs decodes to RGBA. The model was trained on pictures that OpenCV read: blue, green, red. */
const CHANNELS = [2, 1, 0];

/**
 * A PNG scaled to 48 rows, its aspect kept, as float32 [1, 3, 48, width] of (value / 255 − 0.5) / 0.5: the
 * preprocessing of PaddleOCR's RecResizeImg, without its padding.
 */
export function pictureTensor(png: Uint8Array): TensorValue {
  const picture = PNG.sync.read(Buffer.from(png));
  const width = Math.max(1, Math.round((picture.width * HEIGHT) / picture.height));
  const rows = samples(picture.height, HEIGHT);
  const columns = samples(picture.width, width);
  const data = new Float32Array(CHANNELS.length * HEIGHT * width);
  let position = 0;
  for (const channel of CHANNELS) {
    const at = (y: number, x: number) => picture.data[(y * picture.width + x) * 4 + channel];
    for (const y of rows) {
      for (const x of columns) {
        const above = at(y.low, x.low) * (1 - x.share) + at(y.low, x.high) * x.share;
        const below = at(y.high, x.low) * (1 - x.share) + at(y.high, x.high) * x.share;
        data[position++] = (above * (1 - y.share) + below * y.share) / 127.5 - 1;
      }
    }
  }
  return { type: 'float32', dims: [1, CHANNELS.length, HEIGHT, width], data };
}

interface Sample {
  readonly low: number;
  readonly high: number;
  /** Weight of `high`. */
  readonly share: number;
}

/** For each of `to` pixels, the two of `from` that it lies between (pixel centres at half integers). */
function samples(from: number, to: number): Sample[] {
  return Array.from({ length: to }, (_, index) => {
    const centre = Math.min(Math.max(((index + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(centre);
    return { low, high: Math.min(low + 1, from - 1), share: centre - low };
  });
}
