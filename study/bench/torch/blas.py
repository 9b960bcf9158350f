"""Which BLAS PyTorch multiplies with."""

import os
import subprocess
import sys

BLAS_TRIAL = """
import ctypes, sys, time
gemm = ctypes.CDLL(sys.argv[1]).cblas_sgemm
n = 512
a, b, c = ((ctypes.c_float * (n * n))() for _ in range(3))
one = ctypes.c_float(1)
def seconds():
    start = time.perf_counter()
    gemm(101, 111, 111, n, n, n, one, a, n, b, n, one, c, n)
    return time.perf_counter() - start
print(min(seconds() for _ in range(10)))
"""


def fastest_core(library):
    """Name for OPENBLAS_CORETYPE under which OpenBLAS is fastest, or "" for its own choice.

    Debian's OpenBLAS 0.3.21 takes processors younger than itself for a Pentium
    4 and runs at a fifth of their speed.
    """
    with open("/proc/cpuinfo") as f:
        flags = f.read().split()
    best, best_s = "", float("inf")
    for core in [""] + [c for flag, c in (("avx512bw", "SKYLAKEX"), ("avx2", "HASWELL")) if flag in flags]:
        env = dict(os.environ, OMP_NUM_THREADS="1")
        if core:
            env["OPENBLAS_CORETYPE"] = core
        trial = subprocess.run([sys.executable, "-c", BLAS_TRIAL, library], env=env, capture_output=True, text=True)
        if trial.returncode == 0 and float(trial.stdout) < best_s:
            best, best_s = core, float(trial.stdout)
    return best


def use_openblas():
    """Restart the interpreter on OpenBLAS, if Debian's default is something else.

    Debian's libtorch multiplies matrices by whatever libblas.so.3 is. The
    reference BLAS reaches 6 GFLOP/s where OpenBLAS reaches 100, and of
    OpenBLAS' builds only the OpenMP one obeys torch.set_num_threads.
    """
    folder = "/usr/lib/x86_64-linux-gnu/openblas-openmp"
    if os.path.isdir(folder) and folder not in os.environ.get("LD_LIBRARY_PATH", ""):
        old = os.environ.get("LD_LIBRARY_PATH")
        os.environ["LD_LIBRARY_PATH"] = folder + (":" + old if old else "")
        if "OPENBLAS_CORETYPE" not in os.environ:
            core = fastest_core(os.path.join(folder, "libblas.so.3"))
            if core:
                os.environ["OPENBLAS_CORETYPE"] = core
        os.execv(sys.executable, [sys.executable] + sys.argv)
