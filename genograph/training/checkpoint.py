"""Checkpoints: weights, optimizer and progress of one member in one safetensors file.

A kill leaves the last whole one; no pickle.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genograph.errors import RunError
from genograph.files import parse_record, write_file


class Progress(NamedTuple):
    """How far a member's training is.

    Attributes:
        epoch: epochs done.
        planned: epochs the learning rate's schedule runs over.
        seconds: spent.
        best: best validation score so far, by checkpoint; absent where there was none.
        best_epoch: the epoch of each checkpoint, 1-based.
        done: no further epoch is to come.
        step: steps done of the epoch under way.
        losses: their losses, summed by task; empty where `step` is 0.
    """

    epoch: int = 0
    planned: int = 0
    seconds: float = 0.0
    best: Mapping[str, float] = MappingProxyType({})
    best_epoch: Mapping[str, int] = MappingProxyType({})
    done: bool = False
    step: int = 0
    losses: Mapping[str, float] = MappingProxyType({})


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors so that a kill leaves the last whole file.

    Raises:
        OSError: the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    with write_file(path) as draft:
        try:
            save_file(plain, str(draft), dict(metadata or {}))
        except SafetensorError as error:
            # the disk's refusal in the words of the writer
            raise OSError(str(error).splitlines()[0]) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, and its metadata.

    Raises:
        RunError: missing or damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as held:
            tensors = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
            return tensors, held.metadata() or {}
    except (OSError, SafetensorError) as error:
        msg = f"{path}: damaged checkpoint ({error}); delete its folder and train again"
        raise RunError(msg) from error


def save_state(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    best: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write what training resumes from."""
    tensors: dict[str, Tensor] = {}
    tensors |= {f"model/{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.state_dict().items()}
    for name, weights in best.items():
        tensors |= {f"best/{name}/{k}": v for k, v in weights.items()}
    for number, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{k}": torch.as_tensor(v) for k, v in slots.items()}
    record = progress._asdict()
    for name in ("best", "best_epoch", "losses"):
        record[name] = dict(record[name])
    write_tensors(path, tensors, {"progress": json.dumps(record)})


def load_state(
    path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, dict[str, Tensor]], Progress]:
    """Put a saved state into model, average and optimizer.

    Returns the best weights by checkpoint, and the progress.

    Raises:
        RunError: missing, damaged, or of another model.
    """
    tensors, metadata = read_tensors(path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "best": {}, "optimizer": {}}
    try:
        for name, tensor in tensors.items():
            part, rest = name.split("/", 1)
            parts[part][rest] = tensor
        model.load_state_dict(parts["model"])
        average.load_state_dict(parts["average"])
        slots: dict[int, dict[str, Any]] = {}  # Any: torch's optimizer state
        for name, tensor in parts["optimizer"].items():
            number, key = name.split("/", 1)
            slots.setdefault(int(number), {})[key] = tensor
        whole = optimizer.state_dict()
        whole["state"] = slots
        optimizer.load_state_dict(whole)
        best: dict[str, dict[str, Tensor]] = {}
        for name, tensor in parts["best"].items():
            checkpoint, key = name.split("/", 1)
            best.setdefault(checkpoint, {})[key] = tensor
        return best, parse_record(metadata["progress"], Progress)
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path}: is not a state of this model ({reason}); train again"
        raise RunError(msg) from error
