"""Run the product's network in PyTorch on the product's weights and batches.

posefuse bench parity writes the files, starts this script and compares. By
hand: posefuse bench parity --keep DIR leaves everything in DIR.

  parity.py --model DIR/start --batches DIR/batches.f32 --batch 4 --steps 20 --out DIR/torch

--batches holds float32 values, per step: camera, lidar, radar, csi (those the
network has), target. Written to --out:

  eval.f32      poses of the first batch, running statistics, before training
  train.f32     poses of the first batch, batch statistics, dropout off
  step/         a checkpoint folder whose parameters are the gradients of the
                first batch and whose running statistics are those after it
  step64/, train64.f32  the same computed in float64, the referee of both
  losses.json   loss before each step, metres
  losses64.json the same in float64, if --reference is given
  trained/      checkpoint folder after the last step
  after.f32     poses of the first batch, running statistics, after training

With --float64 only losses64.json and trained64/, a checkpoint folder with the
trained weights rounded to float32, are written; neighbours then come from
distances in float64, as in the product's float64 training.
"""

import argparse
import hashlib
import json
import os

import blas
import network
import points

blas.use_openblas()

import numpy as np  # noqa: E402
import torch  # noqa: E402  after the choice of the BLAS


def read_batches(path, net, batch, steps):
    """Per step the list of inputs and the target."""
    shapes = network.input_shapes(net.cfg) + [(network.OUTPUT,)]
    sizes = [batch * int(np.prod(s)) for s in shapes]
    values = np.fromfile(path, "<f4")
    if len(values) != steps * sum(sizes):
        raise ValueError(f"{path} holds {len(values)} values, want {steps} steps of {sum(sizes)}")
    out = []
    for step in values.reshape(steps, -1):
        parts = np.split(step, np.cumsum(sizes)[:-1])
        parts = [torch.from_numpy(p.copy()).reshape((batch,) + s) for p, s in zip(parts, shapes)]
        out.append((parts[:-1], parts[-1]))
    return out


def write_checkpoint(folder, card, net):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "weights.safetensors")
    network.save(net, path)
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    with open(os.path.join(folder, "card.json"), "w") as f:
        json.dump(dict(card, weights="weights.safetensors", sha256=digest), f, indent=2)


def write_poses(path, net, inputs):
    net.eval()
    with torch.inference_mode():
        net(*inputs).numpy().astype("<f4").tofile(path)


def start(args, dtype):
    """The network to train, as the product trains it but for dropout."""
    net, _ = network.load(args.model)
    net.set_exact(not args.fast_neighbours, torch.float64 if args.float64 else torch.float32)
    net.no_dropout()
    return net.to(dtype).train()


def one_step(args, card, batch, dtype, suffix):
    """Poses, gradients and statistics of one pass in training mode."""
    net = start(args, dtype)
    inputs, target = batch
    poses = net(*[x.to(dtype) for x in inputs])
    network.mpjpe(poses, target.to(dtype)).backward()
    poses.detach().numpy().astype("<f4").tofile(os.path.join(args.out, f"train{suffix}.f32"))
    gradients = network.Network(card["config"])
    with torch.no_grad():
        have = network.tensors(gradients)
        for name, t in network.tensors(net).items():
            have[name].copy_(t)
        for name, p in net.named_parameters():
            have[name].copy_(torch.zeros_like(p) if p.grad is None else p.grad)
    write_checkpoint(os.path.join(args.out, "step" + suffix), card, gradients)


def train(args, batches, dtype):
    net = start(args, dtype)
    adam = torch.optim.Adam(net.parameters(), lr=args.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=args.weight_decay)
    losses = []
    for x, y in batches:
        adam.zero_grad(set_to_none=True)
        loss = network.mpjpe(net(*[i.to(dtype) for i in x]), y.to(dtype))
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return net, losses


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batches", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fast-neighbours", action="store_true", help="cdist and topk instead of the product's order of ties")
    parser.add_argument("--reference", action="store_true", help="train in float64 too")
    parser.add_argument("--float64", action="store_true", help="train in float64 alone")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)

    points.ROWS["form"] = "precise"
    net, card = network.load(args.model)
    net.set_exact(not args.fast_neighbours)
    net.no_dropout()
    batches = read_batches(args.batches, net, args.batch, args.steps)
    if args.float64:
        net, losses = train(args, batches, torch.float64)
        write_json(os.path.join(args.out, "losses64.json"), losses)
        write_checkpoint(os.path.join(args.out, "trained64"), card, net.float())
        return
    inputs, _ = batches[0]
    write_poses(os.path.join(args.out, "eval.f32"), net, inputs)

    one_step(args, card, batches[0], torch.float32, "")
    one_step(args, card, batches[0], torch.float64, "64")

    net, losses = train(args, batches, torch.float32)
    write_json(os.path.join(args.out, "losses.json"), losses)
    if args.reference:
        write_json(os.path.join(args.out, "losses64.json"), train(args, batches, torch.float64)[1])
    write_checkpoint(os.path.join(args.out, "trained"), card, net)
    write_poses(os.path.join(args.out, "after.f32"), net, inputs)


if __name__ == "__main__":
    main()
