import { expect } from 'chai';
import type { onnx } from 'onnx-proto';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { ELEMENT_TYPES, type NumericType } from '../../src/inputs/element-types.js';
import { parseTensorProto } from '../../src/inputs/tensor-proto.js';
import { encodeTensor } from '../validation/helpers/tiny-model.js';

const numbers = (data: Iterable<number | bigint>) => Array.from(data, Number);

describe('parseTensorProto', () => {
  const raw = {
    float32: [1, -2, 0.5],
    int64: [1, -2, 3],
    float16: [0x3c00, 0xc000, 0],
    bool: [1, 0, 1],
  } as const;
  for (const [type, values] of Object.entries(raw) as [NumericType, readonly number[]][]) {
    it(`reads ${type} from raw_data`, () => {
      const { onnx: dataType, view, bytes } = ELEMENT_TYPES[type];
      const array = new view(new ArrayBuffer(3 * bytes));
      values.forEach((value, i) => (array[i] = type === 'int64' ? BigInt(value) : value));
      const tensor = { name: 'x', dims: [3, 1], dataType, rawData: new Uint8Array(array.buffer) };
      const parsed = parseTensorProto(encodeTensor(tensor), 'x.pb');
      expect(parsed.name).to.equal('x');
      expect(parsed.value.type).to.equal(type);
      expect(parsed.value.dims).to.deep.equal([3, 1]);
      expect(numbers(parsed.value.data)).to.deep.equal(values);
    });
  }

  const fields: [NumericType, onnx.ITensorProto, number[]][] = [
    ['float32', { floatData: [1, -2] }, [1, -2]],
    ['float64', { doubleData: [1, 1e300] }, [1, 1e300]],
    ['int64', { int64Data: [-1, 2 ** 40] }, [-1, 2 ** 40]],
    ['uint64', { uint64Data: [1, 2 ** 40] }, [1, 2 ** 40]],
    ['uint32', { uint64Data: [1, 4294967295] }, [1, 4294967295]],
    ['int8', { int32Data: [-128, 127] }, [-128, 127]],
    ['uint8', { int32Data: [0, 255] }, [0, 255]],
    ['float16', { int32Data: [0x3c00, 0xc000] }, [0x3c00, 0xc000]],
    ['bool', { int32Data: [1, 0] }, [1, 0]],
  ];
  for (const [type, field, values] of fields) {
    it(`reads ${type} from ${Object.keys(field)[0]}`, () => {
      const bytes = encodeTensor({ dims: [2], dataType: ELEMENT_TYPES[type].onnx, ...field });
      const { value } = parseTensorProto(bytes, 'x.pb');
      expect(value.type).to.equal(type);
      expect(numbers(value.data)).to.deep.equal(values);
    });
  }

  it('reads a scalar and an empty tensor', () => {
    const scalar = parseTensorProto(encodeTensor({ dataType: 1, floatData: [4] }), 'x.pb');
    expect(scalar.value).to.deep.equal({ type: 'float32', dims: [], data: Float32Array.of(4) });
    const empty = parseTensorProto(encodeTensor({ dataType: 1, dims: [2, 0] }), 'x.pb');
    expect(empty.value).to.deep.equal({ type: 'float32', dims: [2, 0], data: new Float32Array(0) });
  });

  const wrong: [string, Uint8Array, string][] = [
    ['bytes that are no TensorProto', Uint8Array.of(0xff, 0xff), 'expected a serialized TensorProto'],
    [
      'a type that Node cannot carry',
      encodeTensor({ dims: [1], dataType: 16, int32Data: [1] }),
      'ONNX data type 16',
    ],
    [
      'fewer values than the shape holds',
      encodeTensor({ dims: [2, 2], dataType: 1, floatData: [1] }),
      'shape [2, 2] has 4 elements and 1 are stored',
    ],
    [
      'half an element',
      encodeTensor({ dims: [1], dataType: 1, rawData: new Uint8Array(5) }),
      '5 bytes, not a whole number of float32',
    ],
    [
      'external data',
      encodeTensor({ dims: [1], dataType: 1, externalData: [{ key: 'location', value: 'f' }] }),
      'found external data',
    ],
  ];
  for (const [title, bytes, message] of wrong) {
    it(`refuses ${title}`, () => {
      expect(() => parseTensorProto(bytes, 'dir/input_0.pb'))
        .to.throw(BlockrankError)
        .that.satisfies(
          (error: BlockrankError) =>
            error.code === 'INVALID_INPUTS' &&
            error.message.startsWith('dir/input_0.pb: ') &&
            error.message.includes(message),
        );
    });
  }
});
