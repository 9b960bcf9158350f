// Writes MoveNet, as TensorFlow.js publishes it, as an ONNX model, operation by
// operation, so that ONNX Runtime can be asked what package keypoint should see:
//   node movenet.mjs --graph movenet-lightning.json --out movenet.onnx
// The input is float32 [1, size, size, 3], red, green, blue 0..255, the output
// [1, 1, 17, 3]: y, x, score in the unit square.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { options } from './session.mjs';
import { Model } from './onnx.mjs';

const o = options({ graph: '', out: '' });
const { modelTopology, weightsManifest, signature } = JSON.parse(readFileSync(o.graph));
const model = new Model();
const weights = readWeights();
const values = new Map(); // TensorFlow's name of a result: its ONNX name
const channelsFirst = new Map(); // ONNX name of a [n, h, w, c] value: that of its [n, c, h, w] twin

/** Half precision to a number. */
function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits >> 15 ? -size : size;
}

/** The weights by name: shape and typed array. */
function readWeights() {
  const found = new Map();
  for (const group of weightsManifest) {
    const bytes = Buffer.concat(group.paths.map((p) => readFileSync(join(dirname(o.graph), p))));
    let at = 0;
    for (const w of group.weights) {
      const n = w.shape.reduce((a, b) => a * b, 1);
      const size = w.quantization ? 2 : 4;
      const part = bytes.subarray(at, (at += n * size));
      let data;
      if (w.quantization) data = Float32Array.from({ length: n }, (_, i) => half(part.readUInt16LE(2 * i)));
      else if (w.dtype === 'int32') data = Int32Array.from({ length: n }, (_, i) => part.readInt32LE(4 * i));
      else data = Float32Array.from({ length: n }, (_, i) => part.readFloatLE(4 * i));
      found.set(w.name, { shape: w.shape, data });
    }
    if (at !== bytes.length) throw new Error(`weights of ${at} bytes in files of ${bytes.length}`);
  }
  return found;
}

const bare = (name) => name.replace(/^\^/, '').replace(/:0$/, '');

/** The ONNX name of a result or a weight. */
function value(name) {
  const n = bare(name);
  if (!values.has(n)) {
    const w = weights.get(n);
    if (!w) throw new Error(`${n} is neither computed nor a weight`);
    values.set(n, model.constant(w.shape, w.data));
  }
  return values.get(n);
}

const weight = (name) => weights.get(bare(name));
const ints = (...v) => model.constant([v.length], BigInt64Array.from(v.map(BigInt)));

function toChannelsFirst(x) {
  if (!channelsFirst.has(x)) channelsFirst.set(x, model.node('Transpose', [x], { perm: [0, 3, 1, 2] }));
  return channelsFirst.get(x);
}

function toChannelsLast(x) {
  const y = model.node('Transpose', [x], { perm: [0, 2, 3, 1] });
  channelsFirst.set(y, x);
  return y;
}

/** An attribute of a TensorFlow node. */
function attribute(node, name) {
  const a = node.attr?.[name];
  if (!a) return undefined;
  if (a.list) return (a.list.i ?? a.list.s ?? []).map((v) => (a.list.i ? Number(v) : Buffer.from(v, 'base64').toString()));
  if (a.s !== undefined) return Buffer.from(a.s, 'base64').toString();
  if (a.i !== undefined) return Number(a.i);
  return a.b ?? a.type;
}

/** A convolution's weights in ONNX's order: TensorFlow has [h, w, in, out], of a depthwise one [h, w, channels, 1]. */
function filters({ shape: [h, w, cin, cout], data }, depthwise) {
  const y = new Float32Array(data.length);
  for (let p = 0; p < h * w; p++) {
    for (let i = 0; i < cin; i++) {
      for (let j = 0; j < cout; j++) {
        const to = depthwise ? i * cout + j : j * cin + i;
        y[to * h * w + p] = data[(p * cin + i) * cout + j];
      }
    }
  }
  return model.constant(depthwise ? [cin * cout, 1, h, w] : [cout, cin, h, w], y);
}

function convolution(node) {
  const depthwise = node.op.includes('Depthwise');
  const w = weight(node.input[1]);
  const fused = attribute(node, 'fused_ops') ?? [];
  const args = [toChannelsFirst(value(node.input[0])), filters(w, depthwise)];
  if (fused[0] === 'BiasAdd') args.push(value(node.input[2]));
  let y = model.node('Conv', args, {
    kernel_shape: w.shape.slice(0, 2),
    strides: attribute(node, 'strides').slice(1, 3),
    group: depthwise ? w.shape[2] : 1,
    auto_pad: attribute(node, 'padding') === 'SAME' ? 'SAME_UPPER' : 'VALID',
  });
  for (const f of fused.slice(1)) {
    if (f === 'Relu') y = model.node('Relu', [y]);
    else if (f === 'Relu6') y = model.node('Clip', [y, zero, six]);
    else throw new Error(`${node.name}: unknown activation ${f}`);
  }
  return toChannelsLast(y);
}

const zero = model.constant([], Float32Array.of(0));
const six = model.constant([], Float32Array.of(6));
const elementwise = { AddV2: 'Add', Sub: 'Sub', Mul: 'Mul', RealDiv: 'Div', FloorDiv: 'Div', Sqrt: 'Sqrt', Sigmoid: 'Sigmoid', Identity: 'Identity' };

/** What each operation becomes; several results are an array. */
const operations = {
  // The picture comes as numbers already.
  Placeholder: (n) => model.input(n.name, n.attr.shape.shape.dim.map((d) => Math.max(1, Number(d.size)))),
  Cast: (n) => (attribute(n, 'SrcT') === 'DT_INT32' && values.get(bare(n.input[0])) === 'input'
    ? value(n.input[0])
    : model.node('Cast', [value(n.input[0])], { to: attribute(n, 'DstT') === 'DT_FLOAT' ? 1 : 6 })),
  Unpack: (n) => {
    const axis = attribute(n, 'axis') ?? 0;
    const parts = attribute(n, 'num') === 1 ? [value(n.input[0])] : model.nodes('Split', [value(n.input[0])], attribute(n, 'num'), { axis });
    return parts.map((p) => model.node('Squeeze', [p, ints(axis)]));
  },
  Pack: (n) => {
    const axis = attribute(n, 'axis') ?? 0;
    return model.node('Concat', n.input.map((x) => model.node('Unsqueeze', [value(x), ints(axis)])), { axis });
  },
  ExpandDims: (n) => model.node('Unsqueeze', [value(n.input[0]), ints(weight(n.input[1]).data[0])]),
  Squeeze: (n) => model.node('Squeeze', [value(n.input[0]), ints(...attribute(n, 'squeeze_dims'))]),
  SquaredDifference: (n) => {
    const d = model.node('Sub', [value(n.input[0]), value(n.input[1])]);
    return model.node('Mul', [d, d]);
  },
  Reshape: (n) => model.node('Reshape', [value(n.input[0]), ints(...weight(n.input[1]).data)]),
  ArgMax: (n) => model.node('Cast', [model.node('ArgMax', [value(n.input[0])], { axis: weight(n.input[1]).data[0], keepdims: 0 })], { to: 6 }),
  GatherNd: (n) => model.node('GatherND', [value(n.input[0]), model.node('Cast', [value(n.input[1])], { to: 7 })]),
  ConcatV2: (n) => model.node('Concat', n.input.slice(0, -1).map(value), { axis: weight(n.input.at(-1)).data[0] }),
  ResizeBilinear: (n) => {
    if (!attribute(n, 'half_pixel_centers') || attribute(n, 'align_corners')) throw new Error(`${n.name}: unknown way to resize`);
    const x = toChannelsFirst(value(n.input[0]));
    const kept = model.node('Slice', [model.node('Shape', [x]), ints(0), ints(2)]);
    const size = model.node('Concat', [kept, ints(...weight(n.input[1]).data)], { axis: 0 });
    return toChannelsLast(model.node('Resize', [x, '', '', size], { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }));
  },
};
for (const op of ['Conv2D', '_FusedConv2D', 'DepthwiseConv2dNative', 'FusedDepthwiseConv2dNative']) operations[op] = convolution;
for (const [op, onnx] of Object.entries(elementwise)) {
  operations[op] = (n) => {
    const x = n.input.map(value);
    return x.every((v) => channelsFirst.has(v))
      ? toChannelsLast(model.node(onnx, x.map(toChannelsFirst)))
      : model.node(onnx, x);
  };
}

/** Computes a node after those it needs. */
const byName = new Map(modelTopology.node.map((n) => [n.name, n]));
function visit(node) {
  if (values.has(node.name) || node.op === 'Const') return;
  for (const i of node.input ?? []) visit(byName.get(i.replace(/^\^/, '').replace(/:\d+$/, '')));
  const convert = operations[node.op];
  if (!convert) throw new Error(`${node.name}: unknown operation ${node.op}`);
  const results = [convert(node)].flat();
  results.forEach((r, i) => values.set(i ? `${node.name}:${i}` : node.name, r));
}
modelTopology.node.forEach(visit);
const [result] = Object.values((signature ?? modelTopology.signature).outputs);
model.output('keypoints', value(result.name), [1, 1, 17, 3]);
writeFileSync(o.out, model.bytes());
