"""The network in PyTorch's lower precisions, for timing only."""

import copy
import warnings

import torch

# Weights and sums that PyTorch's int8 is fastest with, the first that this build has.
ENGINES = ("x86", "fbgemm", "onednn", "qnnpack")


class Trunk(torch.nn.Module):
    """The WiFi trunk as a module of its own, as the quantisation by graph wants it."""

    def __init__(self, csi):
        super().__init__()
        csi = copy.deepcopy(csi)
        self.conv1, self.bn1 = csi.conv1, csi.bn1
        self.layers = torch.nn.Sequential(*(getattr(csi, name) for name in csi.layers))

    def forward(self, x):
        return self.layers(torch.relu(self.bn1(self.conv1(x))))


def choose_engine():
    have = torch.backends.quantized.supported_engines
    engine = next((e for e in ENGINES if e in have), None)
    if engine is None:
        raise RuntimeError(f"this PyTorch has no quantised engine, only {have}")
    torch.backends.quantized.engine = engine
    return engine


def dynamic(net):
    """Linear layers in int8, activations scaled as they come."""
    choose_engine()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(net, {torch.nn.Linear}, dtype=torch.qint8)


class Half(torch.nn.Module):
    """A trunk in bfloat16 between float32 neighbours, normalisation folded into the weights."""

    def __init__(self, trunk):
        super().__init__()
        self.trunk = torch.fx.experimental.optimization.fuse(trunk.eval()).bfloat16().to(memory_format=torch.channels_last)

    def forward(self, x):
        return self.trunk(x.bfloat16()).float()


def half(net):
    """The WiFi trunk in bfloat16, all else in float32."""
    import torch.fx.experimental.optimization  # noqa: F401

    net.csi.low_trunk = Half(Trunk(net.csi))
    net.csi.channels_last = True
    return net


def static(net):
    """The WiFi trunk in int8 with scales from a few random images, its linear layers as dynamic() has them.

    The point encoders are left in float32: their linear layers are small.
    """
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    engine = choose_engine()
    csi = net.csi
    images = torch.rand(3, 1, *csi.size).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trunk = prepare_fx(Trunk(csi).eval(), get_default_qconfig_mapping(engine), (images,))
        for _ in range(3):
            trunk(torch.rand_like(images))
        trunk = convert_fx(trunk)
    net.csi = dynamic(csi)
    net.csi.low_trunk = trunk
    net.csi.channels_last = True
    return net
