"""Reader and writer of safetensors files with float32 tensors.

The format: length of the header (8 bytes, little endian), the header as JSON
(name -> dtype, shape, data_offsets relative to the end of the header), data.
"""

import json
import struct

import numpy as np


def read(path):
    """Dictionary of name -> float32 array."""
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        data = f.read()
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        if t["dtype"] != "F32":
            raise ValueError(f"{path}: tensor {name} has type {t['dtype']}, want F32")
        lo, hi = t["data_offsets"]
        out[name] = np.frombuffer(data[lo:hi], "<f4").reshape(t["shape"]).copy()
    return out


def write(path, tensors):
    """Write name -> float32 array."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, v in tensors.items():
        if v.dtype != np.float32:
            raise ValueError(f"tensor {name} has type {v.dtype}, want float32")
        header[name] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [at, at + v.nbytes]}
        at += v.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)))
        f.write(text)
        for v in tensors.values():
            f.write(np.ascontiguousarray(v, "<f4").tobytes())
