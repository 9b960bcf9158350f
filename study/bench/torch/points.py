"""The point transformer encoder of LiDAR and radar in PyTorch."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

FEATURE = 256


def projection(c):
    return nn.Sequential(nn.Linear(c, c // 2, bias=False), nn.ReLU(), nn.Linear(c // 2, FEATURE, bias=False))


def distances(p, exact):
    """[B, n, n] squared distances between the points of each cloud.

    exact adds up x, y, z as the product does, so that both see the same ties;
    the other is the fast way. Farthest points and neighbours all read this one
    table, which takes the loop below down to three operations a point.
    """
    if not exact:
        return torch.cdist(p, p)  # not squared: the order is the same
    x, y, z = (p[:, :, None] - p[:, None]).unbind(-1)
    return x * x + y * y + z * z


def nearest(d, k, exact):
    """Indices [B, m, k] of the k smallest of each row of d; exact takes ties by lower index, nearest first."""
    if exact:
        return d.sort(dim=-1, stable=True)[1][..., :k]
    return d.topk(k, dim=-1, largest=False, sorted=False)[1]


def farthest(d, m):
    """Indices [B, m] of farthest-point sampling that starts at point 0."""
    b, n, _ = d.shape
    rows_of = d.reshape(b * n, n)
    base = torch.arange(b, device=d.device) * n
    dist = torch.full((b, n), math.inf, device=d.device, dtype=d.dtype)
    last = torch.zeros(b, dtype=torch.long, device=d.device)
    chosen = [last]
    for _ in range(m - 1):
        dist = torch.minimum(dist, rows_of.index_select(0, last + base))
        last = dist.argmax(1)
        chosen.append(last)
    return torch.stack(chosen, 1)


def take(x, index):
    """Rows of x [B, n, c] by index [B, m] or [B, m, k]."""
    b, n, c = x.shape
    base = torch.arange(b, device=x.device) * n
    flat = index + base.reshape([b] + [1] * (index.dim() - 1))
    return x.reshape(b * n, c).index_select(0, flat.reshape(-1)).reshape(list(index.shape) + [c])


ROWS = {"form": "channels_last"}  # how rows() lays its input out


def rows(norm, x):
    """Batch normalisation over the last axis of any shape.

    PyTorch 1.13 has three ways to the same: two-dimensional (not vectorised),
    as an image in channels-last order (fast, adds up 50,000 rows one after the
    other in float32: 3e-6 of error) and [1, C, rows] (precise). The fast one is
    timed, the precise one is compared.
    """
    c = x.shape[-1]
    if ROWS["form"] == "2d":
        y = norm(x.reshape(-1, c))
    elif ROWS["form"] == "precise":
        y = norm(x.reshape(-1, c).t().unsqueeze(0))[0].t()
    else:
        y = x.reshape(1, -1, 1, c).permute(0, 3, 1, 2)
        y = F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training, norm.momentum, norm.eps)
        y = y.permute(0, 2, 3, 1)
    return y.reshape(x.shape)


class Down(nn.Module):
    """TransitionDown, or the pointwise first stage."""

    def __init__(self, cin, cout, stride, k):
        super().__init__()
        self.stride, self.k = stride, k
        self.linear = nn.Linear(cin if stride == 1 else 3 + cin, cout, bias=False)
        self.bn = nn.BatchNorm1d(cout)

    def forward(self, p, d, x, exact):
        if self.stride == 1:
            return p, d, F.relu(rows(self.bn, self.linear(x)))
        n = p.shape[1]
        with torch.no_grad():
            chosen = farthest(d, n // self.stride)
            q, to_chosen = take(p, chosen), take(d, chosen)
            index = nearest(to_chosen, min(self.k, n), exact)
            d = to_chosen.gather(2, chosen[:, None].expand(-1, chosen.shape[1], -1))
        x = torch.cat((take(p, index) - q[:, :, None], take(x, index)), -1)
        x = F.relu(rows(self.bn, self.linear(x)))
        return q, d, x.max(2)[0]


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        s = c // 8
        self.q, self.k, self.v = nn.Linear(c, c), nn.Linear(c, c), nn.Linear(c, c)
        self.p1, self.bn_p, self.p2 = nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, c)
        self.bn_w1, self.w1 = nn.BatchNorm1d(c), nn.Linear(c, s)
        self.bn_w2, self.w2 = nn.BatchNorm1d(s), nn.Linear(s, s)

    def forward(self, p, y, index):
        b, n, k = index.shape
        c = y.shape[-1]
        r = self.p2(F.relu(rows(self.bn_p, self.p1(take(p, index) - p[:, :, None]))))
        w = take(self.k(y), index) - self.q(y)[:, :, None] + r
        w = self.w1(F.relu(rows(self.bn_w1, w)))
        w = self.w2(F.relu(rows(self.bn_w2, w))).softmax(2)
        v = (take(self.v(y), index) + r).reshape(b, n, k, 8, c // 8)
        return (v * w[:, :, :, None]).sum(2).reshape(b, n, c)


class Block(nn.Module):
    """The point transformer block."""

    def __init__(self, c, k):
        super().__init__()
        self.neighbours = k
        self.linear1, self.bn1 = nn.Linear(c, c, bias=False), nn.BatchNorm1d(c)
        self.attn, self.bn2 = Attention(c), nn.BatchNorm1d(c)
        self.linear3, self.bn3 = nn.Linear(c, c, bias=False), nn.BatchNorm1d(c)

    def forward(self, p, d, x, exact):
        with torch.no_grad():
            index = nearest(d, min(self.neighbours, p.shape[1]), exact)
        y = F.relu(rows(self.bn1, self.linear1(x)))
        y = F.relu(rows(self.bn2, self.attn(p, y, index)))
        return F.relu(rows(self.bn3, self.linear3(y)) + x)


class Stage(nn.Module):
    def __init__(self, cin, cout, stride, k):
        super().__init__()
        self.down, self.block = Down(cin, cout, stride, k), Block(cout, k)

    def forward(self, p, d, x, exact):
        p, d, x = self.down(p, d, x, exact)
        return p, d, self.block(p, d, x, exact)


class Points(nn.Module):
    """The point transformer encoder of LiDAR and radar."""

    def __init__(self, cfg, dim):
        super().__init__()
        widths = [dim] + cfg["planes"]
        self.stages = nn.ModuleList(
            Stage(widths[i], widths[i + 1], s, k) for i, (s, k) in enumerate(zip(cfg["strides"], cfg["neighbours"]))
        )
        self.projection = projection(widths[-1])
        self.exact = False
        self.distances = torch.float32  # as in the product, also where the rest is float64

    def forward(self, x):
        p = x[..., :3].contiguous()
        with torch.no_grad():
            d = distances(p.to(self.distances), self.exact)
        for s in self.stages:
            p, d, x = s(p, d, x, self.exact)
        return self.projection(x.mean(1))
