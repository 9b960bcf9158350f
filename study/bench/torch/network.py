"""The pose network of posefuse in PyTorch, for comparison and for training on a GPU.

Written from the layer list of the product (docs/models.md, package model). The
names of the state dictionary are those of the product's safetensors files, so
that a file of one loads in the other; load() and save() do it.

Layout: camera [B, 81, 17, 2], lidar [B, N, 3], radar [B, N, 5], csi [B, 3, 114, 10];
the pose is [B, 51], metres, camera frame.
"""

import json
import math
import os

import torch
import torch.nn as nn
import torch.nn.functional as F

import safetensors_file
from points import FEATURE, Points, projection

OUTPUT = 51
ANTENNAS = 3
MODALITIES = "RLMW"


class Camera(nn.Module):
    """VideoPose3D in its one-output form: every convolution's stride is its width."""

    def __init__(self, cfg):
        super().__init__()
        c, widths = cfg["channels"], cfg["widths"]
        self.widths = widths
        self.expand_conv = nn.Conv1d(34, c, widths[0], stride=widths[0], bias=False)
        self.expand_bn = nn.BatchNorm1d(c)
        convs = []
        for w in widths[1:]:
            convs += [nn.Conv1d(c, c, w, stride=w, bias=False), nn.Conv1d(c, c, 1, bias=False)]
        self.layers_conv = nn.ModuleList(convs)
        self.layers_bn = nn.ModuleList(nn.BatchNorm1d(c) for _ in convs)
        self.drop = nn.Dropout(cfg["dropout"])
        self.projection = projection(c)

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        x = self.drop(F.relu(self.expand_bn(self.expand_conv(x))))
        for i, w in enumerate(self.widths[1:]):
            keep = x[:, :, w // 2 :: w]
            for k in (2 * i, 2 * i + 1):
                x = self.drop(F.relu(self.layers_bn[k](self.layers_conv[k](x))))
            x = keep + x
        return self.projection(x.mean(2))


class BasicBlock(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.downsample is not None:
            x = self.downsample(x)
        return F.relu(y + x)


class ChannelAttention(nn.Module):
    def __init__(self, c, heads, dropout):
        super().__init__()
        self.heads = heads
        for name in ("query", "key", "value"):
            setattr(self, name, nn.ModuleList(nn.Linear(c, c, bias=False) for _ in range(heads)))
        self.out = nn.Linear(c, c, bias=False)
        self.attn_drop, self.out_drop = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, y):
        q, k, v = (torch.stack([m(y) for m in part], 1) for part in (self.query, self.key, self.value))
        s = q.transpose(2, 3) @ k / math.sqrt(y.shape[-1])
        s = self.attn_drop(F.instance_norm(s, eps=1e-5).softmax(-1))
        context = (s @ v.transpose(2, 3)).mean(1).transpose(1, 2)
        return self.out_drop(self.out(context))


class FeedForward(nn.Module):
    def __init__(self, c, mlp, dropout):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(c, mlp), nn.Linear(mlp, c)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class Transformer(nn.Module):
    """MetaFi++'s channel transformer; unused_norm is in the file and never used."""

    def __init__(self, c, heads, mlp, dropout):
        super().__init__()
        self.attention_norm, self.ffn_norm = nn.LayerNorm(c, eps=1e-6), nn.LayerNorm(c, eps=1e-6)
        self.encoder_norm, self.unused_norm = nn.LayerNorm(c, eps=1e-6), nn.LayerNorm(c, eps=1e-6)
        self.channel_attn = ChannelAttention(c, heads, dropout)
        self.ffn = FeedForward(c, mlp, dropout)

    def forward(self, x):
        x = x + self.channel_attn(self.attention_norm(x))
        x = x + self.ffn(self.ffn_norm(x))
        return self.encoder_norm(x)


class CSI(nn.Module):
    """MetaFi++. In training the trunk runs once per antenna, one after the other."""

    def __init__(self, cfg):
        super().__init__()
        c = cfg["base"]
        self.size = (cfg["height"], cfg["width"])
        self.conv1, self.bn1 = nn.Conv2d(1, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)
        self.layers = []
        h, w = self.size
        for i, blocks in enumerate(cfg["blocks"]):
            cout = cfg["base"] << i
            parts = []
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                parts.append(BasicBlock(c, cout, stride))
                c = cout
                h, w = (h - 1) // stride + 1, (w - 1) // stride + 1
            self.layers.append(f"layer{i + 1}")
            setattr(self, self.layers[-1], nn.Sequential(*parts))
        self.bn = nn.BatchNorm2d(c)
        self.position_embedding = nn.Parameter(torch.zeros(1, ANTENNAS * h * w, c))
        self.drop = nn.Dropout(cfg["dropout"])
        self.transformer = Transformer(c, cfg["heads"], cfg["mlp"] * c, cfg["dropout"])
        self.projection = projection(c)
        self.channels_last = False
        self.low_trunk = None  # a module that computes the trunk in int8, for timing

    def trunk(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for name in self.layers:
            x = getattr(self, name)(x)
        return x

    def forward(self, x):
        b = x.shape[0]
        antennas = [F.interpolate(x[:, a : a + 1], size=self.size, mode="bilinear", align_corners=False) for a in range(ANTENNAS)]
        if self.channels_last:
            antennas = [a.contiguous(memory_format=torch.channels_last) for a in antennas]
        if self.training:
            antennas = [self.trunk(a) for a in antennas]
        else:
            antennas = (self.low_trunk or self.trunk)(torch.cat(antennas)).split(b)
        x = self.bn(torch.cat(antennas, 3))
        x = x.flatten(2).transpose(1, 2) + self.position_embedding
        return self.projection(self.transformer(self.drop(x)).mean(1))


class ConcatHead(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n * FEATURE, OUTPUT)

    def forward(self, features):
        return self.fc(torch.cat(features, 1))


class MLPHead(nn.Module):
    def __init__(self, n):
        super().__init__()
        widths = [n * FEATURE, 512, 256, 256, OUTPUT]
        layers = [m for i in range(4) for m in (nn.Linear(widths[i], widths[i + 1]), nn.ReLU())]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, features):
        return self.mlp(torch.cat(features, 1))


class SelfAttention(nn.Module):
    HEADS = 8

    def __init__(self, c, dropout):
        super().__init__()
        self.in_proj, self.out_proj = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.in_proj(x).reshape(b, n, 3, self.HEADS, c // self.HEADS).permute(2, 0, 3, 1, 4)
        s = self.drop((q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(-1))
        return self.out_proj((s @ v).transpose(1, 2).reshape(b, n, c))


class EncoderLayer(nn.Module):
    """A transformer encoder layer with the norms after the sums."""

    def __init__(self, c, hidden, dropout):
        super().__init__()
        self.self_attn = SelfAttention(c, dropout)
        self.linear1, self.linear2 = nn.Linear(c, hidden), nn.Linear(hidden, c)
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        x = self.norm1(x + self.drop(self.self_attn(x)))
        return self.norm2(x + self.drop(self.linear2(self.drop(F.relu(self.linear1(x))))))


class AttentionHead(nn.Module):
    """Four encoder layers on one token per modality, then one layer on the mean token."""

    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(FEATURE, 1024, 0.1) for _ in range(4))
        self.fc = nn.Linear(FEATURE, OUTPUT)

    def forward(self, features):
        x = torch.stack(features, 1)
        for layer in self.layers:
            x = layer(x)
        return self.fc(x.mean(1))


HEADS = {"concat": ConcatHead, "mlp": MLPHead, "attention": AttentionHead}


class Network(nn.Module):
    """The whole network for a configuration in the form of a card's "config"."""

    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.slots = cfg["modalities"]
        if "R" in self.slots:
            self.camera = Camera(cfg["camera"])
        if "L" in self.slots:
            self.lidar = Points(cfg["lidar"], 3)
        if "M" in self.slots:
            self.radar = Points(cfg["radar"], 5)
        if "W" in self.slots:
            self.csi = CSI(cfg["csi"])
        if cfg["head"] not in HEADS:
            raise ValueError(f"head {cfg['head']!r}: this script knows {', '.join(HEADS)}")
        self.head = HEADS[cfg["head"]](len(self.slots))

    def encoders(self):
        names = {"R": "camera", "L": "lidar", "M": "radar", "W": "csi"}
        return {m: getattr(self, names[m]) for m in self.slots}

    def set_exact(self, exact, dtype=torch.float32):
        """Choose ties between neighbours as the product does that computes in dtype, or the fast search."""
        for m in "LM":
            if m in self.slots:
                self.encoders()[m].exact, self.encoders()[m].distances = exact, dtype

    def set_channels_last(self, on):
        if "W" in self.slots:
            self.csi.to(memory_format=torch.channels_last if on else torch.contiguous_format)
            self.csi.channels_last = on

    def no_dropout(self):
        for m in self.modules():
            if isinstance(m, nn.Dropout):
                m.p = 0.0

    def forward(self, *inputs):
        """inputs: one per modality in the order of the configuration; None counts as absent."""
        features = []
        for x, e in zip(inputs, self.encoders().values()):
            features.append(None if x is None else e(x))
        some = next(f for f in features if f is not None)
        return self.head([torch.zeros_like(some) if f is None else f for f in features])


def input_shapes(cfg):
    """Shapes without the batch, in the order of the modalities."""
    all_shapes = {"R": (81, 17, 2), "L": (cfg["lidar"]["points"], 3), "M": (cfg["radar"]["points"], 5), "W": (3, 114, 10)}
    return [all_shapes[m] for m in cfg["modalities"]]


def mpjpe(pred, target):
    """Mean distance of joints, metres."""
    return (pred - target).reshape(-1, 17, 3).norm(dim=-1).mean()


def read_card(folder):
    with open(os.path.join(folder, "card.json")) as f:
        return json.load(f)


def load(folder):
    """Network and card of a checkpoint folder of the product (card.json and its weights)."""
    card = read_card(folder)
    net = Network(card["config"])
    set_tensors(net, safetensors_file.read(os.path.join(folder, card["weights"])))
    return net, card


def tensors(net):
    """The state dictionary without PyTorch's step counters, which the product does not keep."""
    return {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}


def set_tensors(net, values):
    have = tensors(net)
    missing, extra = sorted(have.keys() - values.keys()), sorted(values.keys() - have.keys())
    if missing or extra:
        raise ValueError(f"weights do not fit: missing {missing[:3]}, unknown {extra[:3]}")
    with torch.no_grad():
        for k, v in values.items():
            v = torch.from_numpy(v)
            if v.shape != have[k].shape:
                raise ValueError(f"{k}: shape {tuple(v.shape)}, want {tuple(have[k].shape)}")
            have[k].copy_(v)


def save(net, path):
    """Write the weights as safetensors, named as the product names them."""
    safetensors_file.write(path, {k: v.detach().contiguous().cpu().numpy() for k, v in tensors(net).items()})
