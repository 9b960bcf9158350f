// Times a model on random inputs:
//   node time.mjs --model x.onnx --threads 2 --runs 50 --json
// --sleep lets idle threads of ONNX Runtime sleep at once instead of spinning.
// One run is one call of session.run with the inputs at hand.
import { open, options, randomInputs, readInputs, versions } from './session.mjs';

const o = options({ model: '', threads: 1, runs: 50, warmup: 5, batch: 1, inputs: '', level: 'all', sleep: false, json: false });
if (!o.model) throw new Error('--model FILE is missing: export one with posefuse models export --onnx FILE');
if (!(o.runs >= 1)) throw new Error('--runs wants a positive number');
const session = await open(o.model, o.threads, o.level, o.sleep ? { extra: { session: { intra_op: { allow_spinning: '0' } } } } : {});
const feeds = o.inputs ? readInputs(session, o.batch, o.inputs) : randomInputs(session, o.batch);
for (let i = 0; i < o.warmup; i++) await session.run(feeds);
const times = [];
let cpu = Infinity; // processor time of the quickest run: on a busy machine steadier than the clock
for (let i = 0; i < o.runs; i++) {
  const before = process.cpuUsage();
  const start = process.hrtime.bigint();
  await session.run(feeds);
  times.push(Number(process.hrtime.bigint() - start) / 1e6);
  const { user, system } = process.cpuUsage(before);
  cpu = Math.min(cpu, (user + system) / 1e3);
}
times.sort((a, b) => a - b);
const row = {
  model: o.model,
  runtime: `onnxruntime-node ${versions.node}`,
  threads: o.threads,
  spinning: !o.sleep,
  batch: o.batch,
  runs: o.runs,
  min_ms: times[0],
  median_ms: times[Math.floor(times.length / 2)],
  p99_ms: times[Math.min(times.length - 1, Math.floor(times.length * 0.99))],
  cpu_ms: cpu,
  times_ms: times,
};
if (o.json) console.log(JSON.stringify(row));
else console.log(`${row.runtime}, ${row.threads} thread(s): min ${row.min_ms.toFixed(2)} ms, median ${row.median_ms.toFixed(2)} ms, p99 ${row.p99_ms.toFixed(2)} ms, ${row.cpu_ms.toFixed(2)} ms of processor time (${row.runs} runs)`);
