// Opens an exported model in ONNX Runtime and knows the shapes of its inputs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ort from 'onnxruntime-node';

export const versions = ort.env.versions;

/** Options of the command line, `--name value` or `--name` alone; unknown ones are refused. */
export function options(defaults) {
  const out = { ...defaults };
  const args = process.argv.slice(2);
  for (let i = 0; i < args.length; i++) {
    const name = args[i].replace(/^--/, '');
    if (!args[i].startsWith('--') || !(name in defaults)) {
      throw new Error(`unknown argument ${args[i]}: want ${Object.keys(defaults).map((k) => '--' + k).join(', ')}`);
    }
    if (typeof defaults[name] === 'boolean') {
      out[name] = true;
      continue;
    }
    const text = args[++i];
    if (text === undefined) throw new Error(`${args[i - 1]} wants a value`);
    out[name] = typeof defaults[name] === 'number' ? Number(text) : text;
    if (Number.isNaN(out[name])) throw new Error(`${args[i - 1]} wants a number, not ${text}`);
  }
  return out;
}

/** A session with all graph optimisations, on that many threads. */
export function open(model, threads, level = 'all', more = {}) {
  return ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: level,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    ...more,
  });
}

/** The inputs of a session: name and shape, an open batch set to `batch`. */
export function inputs(session, batch) {
  return session.inputMetadata.map((m) => ({
    name: m.name,
    shape: m.shape.map((d) => (typeof d === 'number' && d > 0 ? d : batch)),
  }));
}

const size = (shape) => shape.reduce((a, b) => a * b, 1);

/** Reads DIR/<input>.f32, little-endian float32, for every input. */
export function readInputs(session, batch, dir) {
  const feeds = {};
  for (const { name, shape } of inputs(session, batch)) {
    const file = join(dir, name + '.f32');
    const b = readFileSync(file);
    if (b.length !== 4 * size(shape)) {
      throw new Error(`${file}: ${b.length} bytes, want ${4 * size(shape)} for [${shape}]`);
    }
    const data = new Float32Array(b.length / 4);
    new Uint8Array(data.buffer).set(b);
    feeds[name] = new ort.Tensor('float32', data, shape);
  }
  return feeds;
}

/** Random inputs in the range of real ones, the same in every run. */
export function randomInputs(session, batch) {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const feeds = {};
  for (const { name, shape } of inputs(session, batch)) {
    const data = new Float32Array(size(shape));
    for (let i = 0; i < data.length; i++) data[i] = name === 'csi' ? uniform() : 2 * uniform() - 1;
    feeds[name] = new ort.Tensor('float32', data, shape);
  }
  return feeds;
}
