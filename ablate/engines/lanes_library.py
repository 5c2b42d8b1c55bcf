"""Compile the C++ library of the lanes engine when it is first used, and load the library with ctypes."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from ablate.cache import locate_cache

SOURCE = Path(__file__).with_name("lanes.cpp")
HEADERS = sorted(SOURCE.parent.glob("lanes_*.h"))
COMMON_FLAGS = (
    "-std=c++17",
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-shared",
)
PROCESSOR_FLAGS = {
    ("linux", "x86_64"): ("-march=native", "-mprefer-vector-width=512"),
    ("linux", "aarch64"): ("-mcpu=native",),
    ("darwin", "arm64"): (),
}
"""Maps each supported platform to the compiler flags that select the processor.

A platform is a pair of `sys.platform` and `platform.machine()`. A Mac with an ARM processor needs no flag. By
default, clang compiles for the oldest such Mac, and every 64-bit ARM processor has NEON. On these Macs, older
versions of Apple's clang do not accept "native".
"""
HERE = (sys.platform, platform.machine())
FLAGS = (*COMMON_FLAGS, *PROCESSOR_FLAGS.get(HERE, ()))
COMPILE_TIMEOUT_SECONDS = 600

PARTS = (
    "prepare",
    "load",
    "products",
    "normalize",
    "activate",
    "score",
    "slopes",
    "weights",
    "inputs",
    "update",
)
"""The parts of a training step that lanes_stopwatch.h measures, in the order of that file."""


def _list(kind: type[Any], names: str) -> list[tuple[str, type[Any]]]:
    return [(name, kind) for name in names.split()]


# These classes repeat the structures of lanes_images.h, lanes_layer.h and lanes_optimizer.h, field by field.
# Change a class and its C++ structure together.


class Layer(ctypes.Structure):
    _fields_ = (
        _list(ctypes.c_int32, "taps outs pixels width kernel segment kept_groups padding windows")
        + _list(ctypes.c_int32, "window_size tiled max_pooled activation input_size plane")
        + _list(ctypes.c_void_p, "tap pixel window place weight bias weight_gradient bias_gradient")
        + _list(ctypes.c_void_p, "input input_gradient output output_gradient z slope")
        + _list(ctypes.c_void_p, "batch_inputs batch_gradients row_inputs row_gradients row_products")
        + _list(ctypes.c_void_p, "row_tap row_tap_back row_start row_weights row_weights_back dropout")
        + _list(ctypes.c_void_p, "unnormed channels norm_weight norm_bias")
        + _list(ctypes.c_void_p, "norm_weight_gradient norm_bias_gradient running_mean running_variance")
        + _list(ctypes.c_void_p, "batches_tracked")
        + _list(ctypes.c_double, "norm_epsilon norm_momentum")
        + _list(ctypes.c_int64, "input_step output_step z_step slope_step row_input_step row_gradient_step")
    )


class Network(ctypes.Structure):
    _fields_ = (
        _list(ctypes.c_void_p, "layers")
        + _list(ctypes.c_int32, "count classes")
        + _list(ctypes.c_int64, "image_size")
        + _list(ctypes.c_int32, "image_height image_width")
        + _list(ctypes.c_void_p, "image_place changed_images first_input logits logits_gradient")
        + _list(ctypes.c_void_p, "parameters gradients first_moment second_moment")
        + _list(ctypes.c_int64, "parameter_count")
        + _list(ctypes.c_void_p, "nanoseconds")
    )


class Optimizer(ctypes.Structure):
    _fields_ = _list(ctypes.c_int32, "rule steps nesterov") + _list(
        ctypes.c_double, "learning_rate momentum weight_decay gradient_clip label_smoothing"
    )


class Examples(ctypes.Structure):
    _fields_ = (
        _list(ctypes.c_void_p, "images labels")
        + _list(ctypes.c_int64, "count")
        + _list(ctypes.c_void_p, "batch")
        + _list(ctypes.c_int32, "batch_size")
        + _list(ctypes.c_void_p, "flipped corners brightness")
    )


@lru_cache(maxsize=1)
def load_library() -> ctypes.CDLL | str:
    """Load the compiled library. If there is none, compile it first.

    Returns:
        The library, or the reason why it cannot be compiled or loaded. Later calls return the same object.
    """
    if HERE not in PROCESSOR_FLAGS:
        supported = ", ".join(f"{system} on {machine}" for system, machine in PROCESSOR_FLAGS)
        return f"it is written for {supported}, not for {HERE[0]} on {HERE[1]}"
    named = os.environ.get("CXX")
    compiler = shutil.which(named) if named else shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return f"there is no C++ compiler ({named or 'g++, c++'})"
    try:
        loaded = ctypes.CDLL(str(compile_library(compiler)))
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        return f"{compiler} does not compile it: {said[0]}"
    except (OSError, NotImplementedError, subprocess.TimeoutExpired) as error:
        return f"its library cannot be built or loaded: {error}"
    network, examples = ctypes.POINTER(Network), ctypes.POINTER(Examples)
    loaded.train_step.argtypes = [network, ctypes.POINTER(Optimizer), examples, ctypes.c_void_p]
    loaded.compute_logits.argtypes = [network, examples, ctypes.c_void_p]
    loaded.compute_logits.restype = None
    return loaded


def compile_library(compiler: str) -> Path:
    """Return the path of the compiled library in the user's cache folder.

    If the folder has no library that fits the source, the compiler, the CPU and the flags, compile one.
    """
    source = "".join(path.read_text(encoding="utf-8") for path in (SOURCE, *HEADERS))
    made_from = [source, _run(compiler, "--version"), *FLAGS, _describe_cpu()]
    key = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:24]
    path = locate_cache() / "lanes" / f"{key}.so"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # One process compiles while other processes wait. The compiling process could be killed. So the library
    # gets its final name only when it is complete.
    with FileLock(path.with_suffix(".lock")), tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        if not path.exists():
            whole = Path(scratch, path.name)
            _run(compiler, *FLAGS, str(SOURCE), "-o", str(whole))
            whole.replace(path)
    return path


def _describe_cpu() -> str:
    """Describe the CPU that the flag "native" selects, to notice that a library is for another CPU.

    The text has the lines of /proc/cpuinfo about the CPU's model and its instruction sets. It is empty if
    this file does not exist.
    """
    described = Path("/proc/cpuinfo")
    if not described.exists():
        return ""
    lines = described.read_text(encoding="utf-8").splitlines()
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "Features", "CPU "))}))


def _run(*command: str) -> str:
    return subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=COMPILE_TIMEOUT_SECONDS,
    ).stdout
