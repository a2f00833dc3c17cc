"""Fit: the loop that trains any module on any batches; schedule, averaging, best state, resume.

A module gives named losses; batches are a function of the step alone, so that a resumed training
gives the weights of an unbroken one; a validation gives named scores of the averaged module. What
these are of, this file does not know.
"""

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from genograph.config import TrainingConfig
from genograph.training.checkpoint import Progress, load_state, save_state, write_tensors

JOINT = "model"
"""Name of the checkpoint with the best joint score."""


class Batches(ABC):
    """What a module is trained on.

    Attributes:
        steps: of an epoch.
    """

    steps: int

    @abstractmethod
    def at(self, step: int, device: torch.device | str, *, rank: int = 0, world: int = 1) -> Any:  # noqa: ANN401  what the module's forward takes
        """The batch of a 0-based step, on a device; of several processes each takes its share.

        Steps may be asked for in any order, and again.
        """


class Scores(NamedTuple):
    """What a validation says.

    Attributes:
        values: the score of each quantity, larger is better; NaN where there is none.
        decisive: the joint score, which tells when to stop; NaN where there is none.
    """

    values: Mapping[str, float]
    decisive: float


@runtime_checkable
class Validating(Protocol):
    """A validation of a module; the two may be any functions."""

    def score(self, module: Any) -> Scores:  # noqa: ANN401  the module that is fitted
        """The scores of a module."""

    def seconds(self, module: Any) -> float:  # noqa: ANN401  the module that is fitted
        """Seconds that `score` should take."""


class Planned(NamedTuple):
    """Told before the first epoch: steps of one, and seconds it should take with its validation."""

    steps: int
    seconds: float


class Epoch(NamedTuple):
    """Told after an epoch, when its state is safe on disk.

    Attributes:
        step: steps done.
        learning_rate: of the last of them.
        losses: mean over the epoch, by task, without weights.
        scores: of the averaged module.
        module: the averaged module.
        progress: of the training.
    """

    step: int
    learning_rate: float
    losses: Mapping[str, float]
    scores: Scores
    module: nn.Module
    progress: Progress


def rate(config: TrainingConfig, step: int, total: int) -> float:
    """Learning rate of a 0-based step: linear warm-up, then a cosine to 0."""
    rising = max(round(config.warm_up * total), 1)
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    share = min((step - rising) / max(total - rising, 1), 1.0)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def fit(
    fabric: Fabric,
    config: TrainingConfig,
    module: nn.Module,
    data: Batches,
    folder: Path,
    *,
    validate: Validating,
    report: Callable[[Planned | Epoch], None],
) -> None:
    """Train a module from its last saved state, or as it is, and write its checkpoints.

    The module's forward pass takes a batch of `data` and gives losses by task: of several processes
    each gives its share of one sum. Its `speeds()`, if it has them, multiply the learning rate of
    parameters by name. `folder` gets state.safetensors, from which the same call resumes, and at
    the end model.safetensors: weights, averaged over steps, of the epoch with the best joint score;
    where `config.best` is each, also a file for each quantity, of its own best epoch.
    `config.minutes` is the time for this module.

    Raises:
        RunError: the saved state is damaged or of another module.
        OSError: the folder takes no more.
    """
    # both before Fabric converts the one it wraps
    real = torch.float64 if config.precision == "64-true" else torch.float32
    module = module.to(fabric.device, real)
    average = copy.deepcopy(module).requires_grad_(False)
    raw = torch.optim.AdamW(_groups(module, config.weight_decay), lr=config.learning_rate)
    progress = Progress(planned=config.epochs)
    best: dict[str, dict[str, Tensor]] = {}
    state = folder / "state.safetensors"
    if state.is_file():
        best, progress = load_state(state, module, average, raw)
    # Any: Fabric wraps module and optimizer in types of its own
    wrapped: Any
    optimizer: Any
    wrapped, optimizer = fabric.setup(module, raw)
    loop = _Loop(fabric, config, wrapped, optimizer, data)
    if not progress.done:
        seconds = data.steps * loop.pace() + validate.seconds(average)
        report(Planned(data.steps, seconds))
    while not progress.done:
        start = time.perf_counter()
        sums: dict[str, float] = {}
        for step in range(progress.epoch * data.steps, (progress.epoch + 1) * data.steps):
            losses = loop.step(step, progress.planned * data.steps)
            _follow(average, module, min(config.average, (1 + step) / (10 + step)))
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value
        scores = validate.score(average)
        seconds = progress.seconds + time.perf_counter() - start
        # every process must take the same way, and clocks differ
        seconds = float(fabric.broadcast(seconds))
        progress, better = advance(config, progress, scores, seconds)
        for name in better:
            best[name] = {k: v.detach().clone() for k, v in average.state_dict().items()}
        if fabric.is_global_zero:
            save_state(state, module, average, best, raw, progress)
            last = progress.epoch * data.steps
            speed = rate(config, last - 1, progress.planned * data.steps)
            means = {name: total / data.steps for name, total in sums.items()}
            report(Epoch(last, speed, means, scores, average, progress))
        fabric.barrier()
    if fabric.is_global_zero:
        for name, tensors in best.items():
            write_tensors(folder / f"{name}.safetensors", tensors)
    fabric.barrier()


class _Loop:
    """One step of training after another."""

    def __init__(
        self,
        fabric: Fabric,
        config: TrainingConfig,
        wrapped: nn.Module,
        optimizer: torch.optim.Optimizer,
        data: Batches,
    ) -> None:
        self._fabric, self._config, self._data = fabric, config, data
        self._wrapped, self._optimizer = wrapped, optimizer

    def _batch(self, step: int) -> Any:  # noqa: ANN401  what the module's forward takes
        fabric = self._fabric
        return self._data.at(step, fabric.device, rank=fabric.global_rank, world=fabric.world_size)

    def pace(self) -> float:
        """Seconds a step, by the second of two whose gradients are thrown away; one warms up."""
        seconds = 0.0
        for step in range(2):
            start = time.perf_counter()
            losses = self._wrapped(self._batch(step))
            self._fabric.backward(torch.stack(list(losses.values())).sum())
            if self._fabric.device.type == "cuda":
                torch.cuda.synchronize(self._fabric.device)
            seconds = time.perf_counter() - start
        self._optimizer.zero_grad()
        return seconds

    def step(self, step: int, total: int) -> dict[str, float]:
        """Take one step of `total`; the losses by task."""
        fabric, config, optimizer = self._fabric, self._config, self._optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["speed"] * rate(config, step, total)
        batch = self._batch(step)
        optimizer.zero_grad()
        losses = self._wrapped(batch)
        weighted = [loss * config.weights.get(name, 1.0) for name, loss in losses.items()]
        # processes average their gradients, and each holds a share of one sum
        fabric.backward(torch.stack(weighted).sum() * fabric.world_size)
        nn.utils.clip_grad_norm_(self._wrapped.parameters(), config.clip)
        optimizer.step()
        shares = torch.stack([loss.detach() for loss in losses.values()])
        everyone: Any = fabric.all_reduce(shares, reduce_op="sum")  # Any: tensor or list
        return dict(zip(losses, everyone.tolist(), strict=True))


def _groups(module: nn.Module, decay: float) -> Iterable[dict[str, Any]]:
    """Parameters with weight decay, without it, and at other speeds, which have none either."""
    speeds: Mapping[str, float] = getattr(module, "speeds", dict)()
    free: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    others: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        last = name.rsplit(".", 1)[-1]
        if name in speeds:
            others.setdefault(speeds[name], []).append(parameter)
        elif parameter.ndim <= 1 or last in ("bias", "scale", "shift"):
            free.append(parameter)
        else:
            decayed.append(parameter)
    yield {"params": decayed, "weight_decay": decay, "speed": 1.0}
    yield {"params": free, "weight_decay": 0.0, "speed": 1.0}
    for speed, parameters in others.items():
        yield {"params": parameters, "weight_decay": 0.0, "speed": speed}


@torch.no_grad()
def _follow(average: nn.Module, module: nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), module.parameters(), strict=True):
        mean.lerp_(value.detach(), 1.0 - decay)


def advance(
    config: TrainingConfig, old: Progress, scores: Scores, seconds: float
) -> tuple[Progress, list[str]]:
    """Progress after an epoch, and the checkpoints for which it is the best so far.

    Without a score there is no early stopping: the last epoch is the best.
    """
    epoch = old.epoch + 1
    planned = config.epochs
    if config.minutes is not None:
        # the schedule is shortened to what the time allows, at the pace so far
        planned = min(planned, max(int(config.minutes * 60.0 / (seconds / epoch)), epoch))
    candidates = {JOINT: scores.decisive}
    if config.best == "each":
        candidates |= scores.values
    best, best_epoch, better = dict(old.best), dict(old.best_epoch), []
    for name, score in candidates.items():
        if name not in best or score > best[name]:
            better.append(name)
            best_epoch[name] = epoch
            if not math.isnan(score):
                best[name] = score
    latest = max((best_epoch[name] for name in best), default=epoch)
    done = epoch >= planned or epoch - latest >= config.patience
    return Progress(epoch, planned, seconds, best, best_epoch, done), better
