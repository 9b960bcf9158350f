"""Time the network in PyTorch: inference of one sample and training steps.

  /usr/bin/python3 study/bench/torch/time.py --model DIR --threads 2 --tasks infer:RLMW infer:RLM train:RLMW:8
  /usr/bin/python3 study/bench/torch/time.py --model DIR --threads 2 --serve

DIR is a checkpoint folder (card.json and its weights). A task is
infer:LETTERS or train:LETTERS:BATCH, LETTERS being the modalities. Each is
timed in every mode that PyTorch offers; the best one is the peer's figure:

  infer  eager      module in eval mode, torch.inference_mode
         channels_last  the same, images in channels-last order
         frozen     traced and torch.jit.freeze: normalisation folded into convolutions
         optimized  the same and torch.jit.optimize_for_inference: oneDNN's own layouts
  lower precisions, only when asked for with --modes:
         dynamic    frozen, linear layers in int8
         static     the WiFi trunk in int8, calibrated, linear layers behind it as in dynamic
         static_frozen  the same, traced and frozen
         bf16       the WiFi trunk in bfloat16, channels-last, frozen
         autocast   torch.autocast to bfloat16, images in channels-last order, frozen
  train  nchw, channels_last: forward, backward and Adam; dropout on as in the card

Neighbours and farthest points come from one torch.cdist per cloud: topk for the
former, for the latter a loop of three tensor operations a point over all clouds
of the batch at once. That is PyTorch without a compiled extension, done well. In training the WiFi trunk runs once per antenna, because
the batch statistics are per antenna; in evaluation the antennas are one batch.

With --serve one request is read per line, {"task": "infer:RLMW", "mode":
"frozen", "runs": 5}, and one answer written, {"times_ms": [...]}, so that a
caller can interleave PyTorch with others; {"task": T, "keep": MODE} frees the
rest. What cannot be done is answered by {"error": "..."}.

Peak memory is the growth of the resident set of a fresh process from the
moment before the network is built; --tasks with one task and one mode gives it.
"""

import argparse
import gc
import json
import os
import resource
import sys
import time
import warnings

import blas
import network

blas.use_openblas()

import torch  # noqa: E402  after the choice of the BLAS

import low  # noqa: E402

INFER_MODES = ("eager", "channels_last", "frozen", "optimized")
TRAIN_MODES = ("nchw", "channels_last")


def modes(task):
    return INFER_MODES if task.startswith("infer") else TRAIN_MODES


def resident_bytes():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def subset(folder, letters):
    """Network of the checkpoint with only some of its modalities."""
    net, card = network.load(folder)
    cfg = card["config"]
    if letters == cfg["modalities"]:
        return net
    part = network.Network(dict(cfg, modalities=letters))
    whole = network.tensors(net)
    slots = [cfg["modalities"].index(m) for m in letters]
    values = {}
    for k in network.tensors(part):
        v = whole[k]
        if k == "head.fc.weight":
            v = torch.cat([v[:, i * network.FEATURE : (i + 1) * network.FEATURE] for i in slots], 1)
        values[k] = v.numpy()
    network.set_tensors(part, values)
    return part


def random_inputs(net, batch):
    g = torch.Generator().manual_seed(1)
    return [torch.rand((batch,) + s, generator=g) for s in network.input_shapes(net.cfg)]


def autocast(on):
    """bfloat16 where PyTorch deems it safe, in a form that a trace can hold."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=on, cache_enabled=False)


def infer_step(folder, letters, mode):
    net = subset(folder, letters).eval()
    inputs = random_inputs(net, 1)
    net.set_channels_last(mode in ("channels_last", "autocast"))
    if mode == "dynamic":
        net = low.dynamic(net)
    elif mode == "bf16":
        net = low.half(net)
    elif mode.startswith("static"):
        net = low.static(net)
    run = net
    if mode not in ("eager", "channels_last", "static"):
        with torch.no_grad(), autocast(mode == "autocast"), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # shapes are fixed on purpose
            run = torch.jit.freeze(torch.jit.trace(net, inputs, check_trace=False))
            if mode == "optimized":
                run = torch.jit.optimize_for_inference(run)

    def step():
        with torch.inference_mode():
            return run(*inputs)

    return step


def train_step(folder, letters, batch, mode):
    net = subset(folder, letters).train()
    inputs = random_inputs(net, batch)
    target = torch.rand(batch, network.OUTPUT)
    net.set_channels_last(mode == "channels_last")
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)

    def step():
        adam.zero_grad(set_to_none=True)
        loss = network.mpjpe(net(*inputs), target)
        loss.backward()
        adam.step()
        return loss

    return step


def make(folder, task, mode):
    kind, letters, *rest = task.split(":")
    if kind == "infer":
        return infer_step(folder, letters, mode)
    if kind == "train":
        return train_step(folder, letters, int(rest[0]), mode)
    raise ValueError(f"task {task!r}: want infer:LETTERS or train:LETTERS:BATCH")


def measure(step, runs):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    return times


def warm(step, task):
    """The profiling executor settles within three runs."""
    measure(step, 3 if task.startswith("infer") else 1)


def gemm_gflops():
    """Rate of a 1024-cubed product: tells a fast BLAS from the reference one."""
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    with torch.inference_mode():
        return 2 * 1024**3 / min(measure(lambda: a @ b, 8)) / 1e6


def serve(folder):
    ready = {}
    for line in sys.stdin:
        r = json.loads(line)
        if "keep" in r:  # free all but this mode of the task
            ready = {k: v for k, v in ready.items() if k == (r.get("task"), r["keep"])}
            gc.collect()
            print(json.dumps({"times_ms": []}), flush=True)
            continue
        key = (r["task"], r["mode"])
        try:
            if key not in ready:
                ready[key] = make(folder, *key)
                warm(ready[key], r["task"])
            answer = {"times_ms": measure(ready[key], r["runs"])}
        except Exception as e:  # PyTorch's operations raise whatever they like
            ready.pop(key, None)
            answer = {"error": f"{key[0]} {key[1]}: {type(e).__name__}: {str(e)[:300]}"}
        print(json.dumps(answer), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="checkpoint folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", default=["infer:RLMW"])
    parser.add_argument("--modes", nargs="+", help="of those above; all by default")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    if args.serve:
        print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "gemm_gflops": gemm_gflops()}), flush=True)
        serve(args.model)
        return
    result = {"torch": torch.__version__, "threads": torch.get_num_threads(), "gemm_gflops": round(gemm_gflops(), 1), "rows": []}
    for task in args.tasks:
        for mode in args.modes or modes(task):
            before = resident_bytes()
            step = make(args.model, task, mode)
            warm(step, task)
            t = sorted(measure(step, args.runs))
            row = {"task": task, "mode": mode, "min_ms": round(t[0], 3), "median_ms": round(t[len(t) // 2], 3),
                   "runs": len(t), "peak_bytes": peak_bytes() - before}
            result["rows"].append(row)
            if not args.json:
                print(f"{task:14} {mode:14} min {t[0]:9.2f} ms  median {t[len(t) // 2]:9.2f} ms", flush=True)
            del step
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
