"""Train a checkpoint in PyTorch, on a GPU if there is one.

  posefuse models export --safetensors start/weights.safetensors --size paper
  posefuse models samples --model start --mmfi /data/mmfi --protocol 1 --split s1 --out samples
  python3 study/bench/torch/train.py --model start --samples samples --out trained.safetensors
  posefuse models import trained.safetensors --card start/card.json --out models/gpu

posefuse train --engine torch does all four steps. Under torchrun each process takes
its part of every batch, as the product's replicas do; gradients are averaged:

  python3 -m torch.distributed.run --standalone --nproc_per_node 2 study/bench/torch/train.py ...

The recipe is that of posefuse train: Adam with coupled weight decay, a learning
rate that falls to a tenth every --decay-every epochs or with 0 follows a cosine, the
loss MPJPE in metres, and with --modality-dropout a share of samples on a random set of
sensors. The file is replaced after every epoch. With --state the training goes on after
its last whole epoch when it is started again, and comes to the same weights.
"""

import argparse
import contextlib
import json
import math
import os
import sys
import time

import blas
import network

blas.use_openblas()

import numpy as np  # noqa: E402
import torch  # noqa: E402  after the choice of the BLAS
import torch.distributed as dist  # noqa: E402

PROTOCOL = 1  # of arguments, files and lines between posefuse and this script


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


class Gated(torch.nn.Module):
    """The pose; gates [B, modalities] of 0 and 1 say whose features count."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, gates, *inputs):
        features = [e(x) * g[:, None] for x, e, g in zip(inputs, self.net.encoders().values(), gates.unbind(1))]
        return self.net.head(features)


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


def rate(args, epoch, share):
    """The learning rate of posefuse train at a share of the whole training."""
    if args.decay_every > 0:
        return args.lr * 0.1 ** (epoch // args.decay_every)
    if share < 0.02:
        return args.lr * (0.05 + 0.95 * share / 0.02)
    return args.lr * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="checkpoint folder to start from")
    parser.add_argument("--samples", required=True, help="folder that posefuse models samples wrote")
    parser.add_argument("--out", required=True, help="safetensors file to write")
    parser.add_argument("--state", default="", help="file to go on from; it is replaced after every epoch")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch", type=int, default=192, help="samples a step, of all processes together")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--decay-every", type=int, default=30)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--modality-dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for PyTorch's choice")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--protocol", type=int, default=PROTOCOL, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.protocol != PROTOCOL:
        sys.exit(f"posefuse speaks version {args.protocol} with this script, which knows {PROTOCOL}: take both from one release")
    return args


RECIPE = ("epochs", "batch", "lr", "decay_every", "weight_decay", "modality_dropout", "seed", "precision")


def resume(args, world, net, adam):
    """The epochs that are done; the network and the optimiser become those after them."""
    if not args.state or not os.path.exists(args.state):
        return 0
    state = torch.load(args.state, map_location=args.device)
    own = dict({k: getattr(args, k) for k in RECIPE}, processes=world)
    other = {k: v for k, v in state["recipe"].items() if own[k] != v}
    if other:
        sys.exit(f"{args.state} is of another training, with {other}: start with these options, or elsewhere")
    net.load_state_dict(state["net"])
    adam.load_state_dict(state["adam"])
    return state["epoch"]


def keep(args, world, net, adam, epoch):
    network.save(net, args.out + ".part")
    os.replace(args.out + ".part", args.out)
    if args.state:
        recipe = dict({k: getattr(args, k) for k in RECIPE}, processes=world)
        torch.save({"recipe": recipe, "epoch": epoch, "net": net.state_dict(), "adam": adam.state_dict()}, args.state + ".part")
        os.replace(args.state + ".part", args.state)


def main():
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if args.batch % world:
        sys.exit(f"a batch of {args.batch} cannot be shared by {world} processes: use a multiple")
    if args.device == "cuda":
        args.device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        torch.cuda.set_device(args.device)
    if world > 1:
        dist.init_process_group("nccl" if args.device.startswith("cuda") else "gloo")

    net, card = network.load(args.model)
    train, val = (Samples(args.samples, part, card["config"]) for part in ("train", "val"))
    if train.count < args.batch:
        sys.exit(f"{train.count} training samples make no batch of {args.batch}: use a smaller --batch")
    net.to(args.device)
    adam = torch.optim.Adam(net.parameters(), lr=args.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=args.weight_decay)
    done = resume(args, world, net, adam)
    gated = Gated(net)
    if world > 1:
        gated = torch.nn.parallel.DistributedDataParallel(gated, find_unused_parameters="W" in net.slots)  # unused_norm of the WiFi encoder
    low = torch.autocast(args.device.split(":")[0], torch.bfloat16) if args.precision == "bf16" else contextlib.nullcontext()
    part, steps = args.batch // world, train.count // args.batch
    for epoch in range(done, args.epochs):
        net.train()
        start, total = time.time(), 0.0
        torch.manual_seed((args.seed * 1000 + epoch) * 1000 + rank)  # dropout, not the same everywhere
        draw = torch.Generator().manual_seed(args.seed * 1000 + epoch)  # order and gates, the same everywhere
        order = torch.randperm(train.count, generator=draw).numpy()
        for step in range(steps):
            first = step * args.batch + rank * part
            gates = draw_gates(args.batch, len(train.arrays) - 1, args.modality_dropout, draw)[rank * part : (rank + 1) * part].to(args.device)
            x, y = train.batch(order[first : first + part], args.device)
            for group in adam.param_groups:
                group["lr"] = rate(args, epoch, (epoch + step / steps) / args.epochs)
            adam.zero_grad(set_to_none=True)
            with low:
                pose = gated(gates, *x)
            loss = network.mpjpe(pose.float(), y)
            loss.backward()
            adam.step()
            total += loss.item()
        if rank == 0:
            keep(args, world, net, adam, epoch + 1)
            row = {"epoch": epoch + 1, "train_mpjpe_mm": 1000 * total / steps, "val_mpjpe_mm": validate(net, val, args.batch, args.device), "seconds": time.time() - start}
            print(json.dumps(row), flush=True)
        if world > 1:
            dist.barrier()
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
