"""A device that is not the CPU, for machines without one: it computes on the CPU, but separately.

Inside `elsewhere()`, tensors of HERE_NOT are their own kind. As on an accelerator, an operation on
one of them and on a tensor of the CPU fails, but for numbers without dimensions, and NumPy cannot
see them. Unlike one, it has no speed, no autocast and no order of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

HERE_NOT = torch.device("meta")
"""The only name of a device that needs neither a driver nor a build of its own."""

COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class TwoDevices(AssertionError):
    """An operation on tensors of this device and of the CPU."""


class Elsewhere(Tensor):
    """A tensor of this device; `held` is the same on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held):
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=HERE_NOT,
            requires_grad=held.requires_grad,
        )
        made.held = held
        return made

    def __repr__(self):
        return f"Elsewhere({self.held})"

    def tolist(self):
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sees what makes tensors of the device out of nothing or of the CPU's."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _run(func, args, kwargs):
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    mine = [x for x in tensors if isinstance(x, Elsewhere)]
    others = [x for x in tensors if not isinstance(x, Elsewhere)]
    if mine and func not in COPIES and any(x.dim() for x in others):
        msg = f"{func}: tensors of two devices"
        raise TwoDevices(msg)
    device = kwargs.get("device")
    stays = bool(mine) if device is None else torch.device(device) == HERE_NOT
    words = kwargs if device is None else kwargs | {"device": "cpu"}
    out = func(*tree_map(_held, args), **tree_map(_held, words))
    if func is torch.ops.aten.copy_.default:
        return args[0]
    return tree_map(_of_here, out) if stays else out


def _held(x):
    return x.held if isinstance(x, Elsewhere) else x


def _of_here(x):
    return Elsewhere(x) if isinstance(x, Tensor) and not isinstance(x, Elsewhere) else x


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Give the device, which is there within the block."""
    with _Mode():
        yield HERE_NOT
