"""Native: the C++ kernels of native.cpp, built once with the machine's own compiler, if it has one.

The library has a plain C interface, so it is built in seconds, needs no headers, and any version of
torch loads it. It lies in the user's cache folder under a name that holds the hash of source,
compiler and processor. Without a compiler everything runs in torch.
"""

import ctypes
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch

from genograph.files import scratch, write_file

log = logging.getLogger("genograph")

COMPILERS = ("c++", "g++", "clang++")
# fast-math where it is compiled but not where it is linked: there it would switch off denormal
# numbers for the whole process
COMPILE = ("-O3", "-std=c++17", "-fPIC", "-march=native", "-ffast-math")
SECONDS = 120.0


class LayerCall(ctypes.Structure):
    """The arguments of one layer; mirrors `struct Layer` of native.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n_strain", "n_node", "d", "n_thread")),
        ("epsilon", ctypes.c_double),
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("segment_offsets", "segment_relation", "segment_start", "target", "share"),
                *("kind", "slot", "source_offsets", "source_node", "source_base"),
                *("found_offsets", "found_node", "dose"),
                *("sent", "change", "pre", "state", "scale", "shift", "rest"),
                *("out", "normal", "spread", "d_out", "d_sent", "d_change", "d_pre", "d_state"),
                *("d_scale", "d_shift", "d_rest"),
            )
        ),
    )


class Library(NamedTuple):
    """The loaded kernels and how they came."""

    functions: ctypes.CDLL
    path: Path
    words: str


@cache
def library() -> Library | None:
    """The native kernels; None where they cannot be had, which is said once."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        log.info("kernels: torch (no C++ compiler on the path: %s)", ", ".join(COMPILERS))
        return None
    source = Path(__file__).with_name("native.cpp")
    words = "found in the cache"
    try:
        path = _cache_folder() / f"kernels-{_fingerprint(compiler, source)}.so"
        if not path.is_file():
            _build(compiler, source, path)
            words = f"built with {compiler}"
        functions = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        log.warning("kernels: torch (the C++ ones could not be built: %s)", detail.strip()[:300])
        return None
    for kind in ("float", "double"):
        for name in ("forward", "backward"):
            getattr(functions, f"{name}_{kind}").restype = None
    log.info("kernels: native, %s (%s)", words, path)
    return Library(functions, path, words)


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "genograph"


def _fingerprint(compiler: str, source: Path) -> str:
    """What the library depends on; a home folder may be shared by unlike machines."""
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True, timeout=SECONDS
    ).stdout
    processor = platform.processor() + platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text("utf-8", errors="replace").splitlines()
        processor += "".join(
            next((x for x in lines if x.startswith(k)), "") for k in ("model name", "flags")
        )
    parts = (source.read_text("utf-8"), version, processor, *COMPILE)
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _build(compiler: str, source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # several processes may build at once: each puts a whole file into the place
    with scratch() as folder, write_file(path) as built:
        middle = folder / "native.o"
        steps: Sequence[Sequence[str]] = (
            [compiler, *COMPILE, "-c", str(source), "-o", str(middle)],
            [compiler, "-shared", str(middle), "-o", str(built), "-lm", "-pthread"],
        )
        for step in steps:
            subprocess.run(step, capture_output=True, text=True, check=True, timeout=SECONDS)


def suits(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether there are native kernels for such numbers."""
    plain = dtype in (torch.float32, torch.float64)
    return device.type == "cpu" and plain and library() is not None


def function(name: str, dtype: torch.dtype) -> Callable[..., None]:
    """A kernel for numbers of a type; `library` must not be None."""
    found = library()
    assert found is not None
    kernel: Callable[..., None] = getattr(
        found.functions, f"{name}_{'double' if dtype == torch.float64 else 'float'}"
    )
    return kernel
