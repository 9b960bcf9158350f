// Writes ONNX models (opset 17): the few fields of the protobuf that are needed.

function varint(v) {
  const out = [];
  for (let n = BigInt.asUintN(64, BigInt(v)); ; n >>= 7n) {
    const low = Number(n & 127n);
    if (n < 128n) {
      out.push(low);
      return Buffer.from(out);
    }
    out.push(low | 128);
  }
}

const number = (field, v) => Buffer.concat([varint(field << 3), varint(v)]);
const bytes = (field, b) => {
  const data = Buffer.isBuffer(b) ? b : Buffer.from(b);
  return Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);
};

const elements = { Float32Array: 1, Int32Array: 6, BigInt64Array: 7 };

/** AttributeProto: a string, an integer or a list of integers. */
function attribute(name, v) {
  const head = bytes(1, name);
  if (typeof v === 'string') return Buffer.concat([head, bytes(4, v), number(20, 3)]);
  if (Array.isArray(v)) return Buffer.concat([head, ...v.map((x) => number(8, x)), number(20, 7)]);
  return Buffer.concat([head, number(3, v), number(20, 2)]);
}

/** ValueInfoProto of a float32 tensor. */
function info(name, shape) {
  const dims = Buffer.concat(shape.map((d) => bytes(1, number(1, d))));
  return Buffer.concat([bytes(1, name), bytes(2, bytes(1, Buffer.concat([number(1, 1), bytes(2, dims)])))]);
}

/** A model under construction. Values are named by strings. */
export class Model {
  #parts = []; // of the GraphProto
  #names = 0;

  #fresh() {
    return `v${this.#names++}`;
  }

  constant(shape, data) {
    const name = this.#fresh();
    const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    this.#parts.push(bytes(5, Buffer.concat([...shape.map((d) => number(1, d)), number(2, elements[data.constructor.name]), bytes(8, name), bytes(9, raw)])));
    return name;
  }

  /** Adds an operation with n results and returns their names. */
  nodes(op, inputs, n, attributes = {}) {
    const outputs = Array.from({ length: n }, () => this.#fresh());
    this.#emit(op, inputs, outputs, attributes);
    return outputs;
  }

  node(op, inputs, attributes) {
    return this.nodes(op, inputs, 1, attributes)[0];
  }

  #emit(op, inputs, outputs, attributes) {
    this.#parts.push(bytes(1, Buffer.concat([
      ...inputs.map((x) => bytes(1, x)),
      ...outputs.map((x) => bytes(2, x)),
      bytes(4, op),
      ...Object.entries(attributes).map(([k, v]) => bytes(5, attribute(k, v))),
    ])));
  }

  input(name, shape) {
    this.#parts.push(bytes(11, info(name, shape)));
    return name;
  }

  output(name, from, shape) {
    this.#emit('Identity', [from], [name], {});
    this.#parts.push(bytes(12, info(name, shape)));
  }

  bytes() {
    const graph = Buffer.concat([...this.#parts, bytes(2, 'graph')]);
    return Buffer.concat([number(1, 8), bytes(7, graph), bytes(8, number(2, 17))]);
  }
}
