// Runs a model once on given inputs and writes its outputs:
//   node run.mjs --model x.onnx --inputs DIR --outputs DIR [--threads 1] [--batch 1]
// Files are named after inputs and outputs and hold little-endian float32.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { open, options, readInputs } from './session.mjs';

const o = options({ model: '', inputs: '', outputs: '', threads: 1, batch: 1, level: 'all' });
const session = await open(o.model, o.threads, o.level);
const results = await session.run(readInputs(session, o.batch, o.inputs));
mkdirSync(o.outputs, { recursive: true });
for (const [name, t] of Object.entries(results)) {
  writeFileSync(join(o.outputs, name + '.f32'), new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength));
}
