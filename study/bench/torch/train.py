"""Train a checkpoint in PyTorch, on a GPU if there is one.

  posefuse models export --safetensors start/weights.safetensors --size paper
  posefuse models samples --model start --mmfi /data/mmfi --protocol 1 --split s1 --out samples
  python3 study/bench/torch/train.py --model start --samples samples --out trained.safetensors
  posefuse models import trained.safetensors --card start/card.json --out models/gpu

The recipe is that of posefuse train: Adam with coupled weight decay, a learning
rate that falls to a tenth every --decay-every epochs, the loss MPJPE in metres,
and with --modality-dropout a share of samples on a random set of sensors. The
file is replaced after every epoch.
"""

import argparse
import json
import os
import time

import blas
import network

blas.use_openblas()

import numpy as np  # noqa: E402
import torch  # noqa: E402  after the choice of the BLAS


class Samples:
    """One folder of posefuse models samples, read as it is needed."""

    def __init__(self, folder, part, cfg):
        with open(os.path.join(folder, "samples.json")) as f:
            info = json.load(f)
        if info["config"] != cfg:
            raise ValueError(f"{folder} was written for another network: write samples with --model of this one")
        self.count = info["parts"][part]["samples"]
        self.arrays = []
        for a in info["arrays"]:
            path = os.path.join(folder, part, a["name"] + ".f32")
            x = np.memmap(path, "<f4", "r")
            width = int(np.prod(a["shape"]))
            if len(x) != self.count * width:
                raise ValueError(f"{path} holds {len(x)} values, want {self.count} samples of {width}: write the samples again")
            self.arrays.append(x.reshape(self.count, width))
        self.shapes = network.input_shapes(cfg) + [(network.OUTPUT,)]

    def batch(self, rows, device):
        """Inputs in the order of the modalities, and the target."""
        rows = np.sort(rows)  # the order inside a batch does not matter; the disk likes it
        parts = [torch.from_numpy(x[rows]).reshape((len(rows),) + s).to(device, non_blocking=True) for x, s in zip(self.arrays, self.shapes)]
        return parts[:-1], parts[-1]


def forward(net, inputs, gates):
    """The pose; gates [B, modalities] of 0 and 1 say whose features count."""
    features = [e(x) * g[:, None] for x, e, g in zip(inputs, net.encoders().values(), gates.unbind(1))]
    return net.head(features)


def draw_gates(count, modalities, share, generator):
    """All modalities, or for the given share of samples a random non-empty set of them."""
    gates = torch.ones(count, modalities)
    for i in torch.nonzero(torch.rand(count, generator=generator) < share).flatten():
        mask = int(torch.randint(1, 2**modalities, (1,), generator=generator))
        gates[i] = torch.tensor([float(mask >> m & 1) for m in range(modalities)])
    return gates


def validate(net, samples, batch, device):
    """MPJPE over all samples with all modalities, millimetres.

    Neighbours at equal distance are chosen as the product does, so that its own
    evaluation gives the same figure; training needs no such order.
    """
    net.eval()
    net.set_exact(True)
    total = 0.0
    with torch.inference_mode():
        for at in range(0, samples.count, batch):
            x, y = samples.batch(np.arange(at, min(at + batch, samples.count)), device)
            total += float(network.mpjpe(net(*x), y)) * len(y)
    net.set_exact(False)
    return 1000 * total / samples.count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="checkpoint folder to start from")
    parser.add_argument("--samples", required=True, help="folder that posefuse models samples wrote")
    parser.add_argument("--out", required=True, help="safetensors file to write")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--decay-every", type=int, default=30)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--modality-dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for PyTorch's choice")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    draw = torch.Generator().manual_seed(args.seed)

    net, card = network.load(args.model)
    train, val = (Samples(args.samples, part, card["config"]) for part in ("train", "val"))
    if train.count < args.batch:
        raise ValueError(f"{train.count} training samples make no batch of {args.batch}: use a smaller --batch")
    net.to(args.device)
    adam = torch.optim.Adam(net.parameters(), lr=args.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=args.weight_decay)
    schedule = torch.optim.lr_scheduler.StepLR(adam, args.decay_every)
    for epoch in range(args.epochs):
        net.train()
        start, total, steps = time.time(), 0.0, train.count // args.batch
        order = torch.randperm(train.count, generator=draw).numpy()
        for step in range(steps):
            x, y = train.batch(order[step * args.batch : (step + 1) * args.batch], args.device)
            gates = draw_gates(args.batch, len(x), args.modality_dropout, draw).to(args.device)
            adam.zero_grad(set_to_none=True)
            loss = network.mpjpe(forward(net, x, gates), y)
            loss.backward()
            adam.step()
            total += loss.item()
        schedule.step()
        network.save(net, args.out + ".part")
        os.replace(args.out + ".part", args.out)
        row = {"epoch": epoch + 1, "train_mpjpe_mm": 1000 * total / steps, "val_mpjpe_mm": validate(net, val, args.batch, args.device), "seconds": time.time() - start}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
