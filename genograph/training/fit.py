"""Fit: the loop that trains any module on any batches; schedule, averaging, best state, resume.

A module gives named losses; batches are a function of the step alone, so that a resumed training
gives the weights of an unbroken one, wherever in an epoch it stopped; a validation gives named
scores of the averaged module. What these are of, this file does not know.
"""

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from genograph.config import TrainingConfig
from genograph.errors import RunError
from genograph.training.checkpoint import Progress, load_state, save_state, write_tensors

JOINT = "model"
"""Name of the checkpoint with the best joint score."""
CHECKED = 16
"""Steps after which a GPU's losses are looked at: a look after each would make it wait."""
MARGIN = 0.9
"""Share of the time left over which epochs are planned: no epoch is as fast as the last one."""
RESERVE = 0.5
"""Epochs' worth of time that is left free besides, so that the last epoch ends within the time."""


class Batches(ABC):
    """What a module is trained on.

    Attributes:
        steps: of an epoch.
    """

    steps: int

    @abstractmethod
    def at(self, step: int, *, rank: int = 0, world: int = 1) -> Any:  # noqa: ANN401  what the module's forward takes
        """The batch of a 0-based step, on the CPU; of several processes each takes its share.

        Steps may be asked for in any order, again, and from a thread of their own. `fit` moves the
        batch: tensors in mappings, sequences and named tuples, and whatever has `to(device)`.
        """

    def describe(self, step: int, tasks: Sequence[str]) -> str:
        """What of a 0-based step a reader should look at when losses of these tasks are not finite.

        Nothing by default.
        """
        return ""


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


class Limit(NamedTuple):
    """When a training has to be over, in seconds of `time.perf_counter`.

    Attributes:
        stop: the step that is under way then is the last one; its state is saved.
        plan: the schedule is shortened so that all its epochs are done by then.
    """

    stop: float
    plan: float


class Pace(NamedTuple):
    """Seconds of a step and of a validation, as measured so far."""

    step: float
    validation: float

    def seconds(self, steps: int, validations: int) -> float:
        """Seconds that so many of each should take."""
        return steps * self.step + validations * self.validation


class Planned(NamedTuple):
    """Told before the first step: steps of an epoch, and the pace of two of them."""

    steps: int
    pace: Pace


class Step(NamedTuple):
    """Told within an epoch, about once a second.

    Attributes:
        steps: of an epoch.
        progress: of the training; `progress.step` steps of the epoch are done.
        pace: measured since the training was begun or resumed.
    """

    steps: int
    progress: Progress
    pace: Pace


class Epoch(NamedTuple):
    """Told after an epoch, when its state is safe on disk.

    Attributes:
        step: steps done.
        learning_rate: of the last of them.
        losses: mean over the epoch, by task, without weights.
        scores: of the averaged module.
        module: the averaged module.
        progress: of the training.
        pace: measured since the training was begun or resumed.
    """

    step: int
    learning_rate: float
    losses: Mapping[str, float]
    scores: Scores
    module: nn.Module
    progress: Progress
    pace: Pace


Told = Planned | Step | Epoch


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
    report: Callable[[Told], None],
    limit: Limit | None = None,
) -> Progress:
    """Train a module from its last saved state, or as it is, and write its checkpoints.

    The module's forward pass takes a batch of `data` and gives losses by task: of several processes
    each gives its share of one sum. Its `speeds()`, if it has them, multiply the learning rate of
    parameters by name. `folder` gets state.safetensors, from which the same call resumes, and at
    the end model.safetensors: weights, averaged over steps, of the epoch with the best joint score;
    where `config.best` is each, also a file for each quantity, of its own best epoch.

    Returns:
        How far the training is. Where it is not done, `limit` stopped it after at least one step.

    Raises:
        RunError: the saved state is damaged or of another module; or a loss, a gradient or a weight
            is not finite: the saved state is then the one before.
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
    with closing(_Loop(fabric, config, wrapped, optimizer, data)) as loop:
        watch = _Watch(Pace(0.0, 0.0))
        if not progress.done:
            watch = _Watch(Pace(loop.pace(), validate.seconds(average)))
            report(Planned(data.steps, watch.pace))
        while not progress.done:
            start, before = time.perf_counter(), progress.seconds
            watch.begin(progress.step)
            losses = _Losses(fabric.device, progress.losses)
            total = progress.planned * data.steps
            stopped = False
            for number in range(progress.step, data.steps):
                step = progress.epoch * data.steps + number
                losses.add(step, *loop.step(step, total))
                _follow(average, module, min(config.average, (1 + step) / (10 + step)))
                stopped = limit is not None and loop.agree(time.perf_counter() >= limit.stop)
                seconds = before + time.perf_counter() - start
                progress = progress._replace(step=number + 1, seconds=seconds)
                if stopped or loop.is_checked(number):
                    losses.check(progress.epoch, data)
                    watch.step(number + 1)
                    if fabric.is_global_zero and watch.is_due():
                        report(Step(data.steps, progress, watch.pace))
                if stopped:
                    break
            _check_weights(module, progress.epoch, progress.step, data)
            if stopped:
                if fabric.is_global_zero:
                    progress = progress._replace(losses=losses.sums())
                    save_state(state, module, average, best, raw, progress)
                fabric.barrier()
                return progress
            begun = time.perf_counter()
            scores = validate.score(average)
            now = time.perf_counter()
            watch.validate(now - begun)
            # every process must take the same way, and clocks differ
            left = None if limit is None else limit.plan - now
            seconds, left = fabric.broadcast((before + now - start, left))
            progress, better = advance(config, progress, scores, seconds, left)
            for name in better:
                best[name] = {k: v.detach().clone() for k, v in average.state_dict().items()}
            if fabric.is_global_zero:
                save_state(state, module, average, best, raw, progress)
                last = progress.epoch * data.steps
                means = {name: total / data.steps for name, total in losses.sums().items()}
                speed = rate(config, last - 1, total)
                report(Epoch(last, speed, means, scores, average, progress, watch.pace))
            fabric.barrier()
        if fabric.is_global_zero:
            for name, tensors in best.items():
                write_tensors(folder / f"{name}.safetensors", tensors)
        fabric.barrier()
        return progress


class _Watch:
    """Measures the pace, and says when it is time to tell of it."""

    def __init__(self, first: Pace) -> None:
        """Begin with a pace that is replaced as steps and validations are measured."""
        self.pace = first
        self._steps = self._validations = self._done = 0
        self._in_steps = self._in_validations = 0.0
        self._since = self._told = time.perf_counter()

    def begin(self, done: int) -> None:
        """An epoch begins, or goes on after so many steps."""
        self._since, self._done = time.perf_counter(), done

    def step(self, done: int) -> None:
        """So many steps of the epoch are done."""
        now = time.perf_counter()
        self._steps += done - self._done
        self._in_steps += now - self._since
        self._since, self._done = now, done
        self.pace = self.pace._replace(step=self._in_steps / self._steps)

    def validate(self, seconds: float) -> None:
        """A validation took so long."""
        self._validations += 1
        self._in_validations += seconds
        self.pace = self.pace._replace(validation=self._in_validations / self._validations)

    def is_due(self) -> bool:
        """Whether a second has passed since this was last true."""
        now = time.perf_counter()
        due = now >= self._told + 1.0
        if due:
            self._told = now
        return due


class _Losses:
    """Losses of an epoch, summed on the device, and the first step where one is not finite."""

    def __init__(self, device: torch.device, before: Mapping[str, float]) -> None:
        """Go on with the sums of the epoch's earlier steps."""
        self._names = list(before)
        self._sums = torch.tensor(list(before.values()), dtype=torch.float64, device=device)
        self._first: Tensor | None = None

    def add(self, step: int, names: Sequence[str], losses: Tensor, norm: Tensor) -> None:
        """Add the losses of a step, whose gradient has this norm."""
        losses = losses.double()
        self._sums = self._sums + losses if self._names else losses
        self._names = list(names)
        last = norm.double().reshape(1)
        # the step, the norm and the losses of the first step that is not finite, or of this one
        row = torch.cat([torch.full_like(last, step), last, losses])
        if self._first is None:
            self._first = row
        else:
            self._first = torch.where(torch.isfinite(self._first).all(), row, self._first)

    def sums(self) -> dict[str, float]:
        """The sum of the losses by task."""
        return dict(zip(self._names, self._sums.tolist(), strict=True))

    def check(self, epoch: int, data: Batches) -> None:
        """Refuse losses or a gradient that are not finite.

        Raises:
            RunError: the first step where they are not, the tasks, and what these were made of.
        """
        if self._first is None:
            return
        number, norm, *losses = self._first.tolist()
        if all(map(math.isfinite, (norm, *losses))):
            return
        step = int(number)
        each = dict(zip(self._names, losses, strict=True))
        wrong = [name for name, loss in each.items() if not math.isfinite(loss)]
        what = ", ".join(f"the loss of {name} is {each[name]}" for name in wrong)
        _refuse(
            what or f"the gradient of the loss of {', '.join(each)} is not finite",
            (step - epoch * data.steps, epoch),
            data,
            wrong or list(each),
        )


def _check_weights(module: nn.Module, epoch: int, done: int, data: Batches) -> None:
    """Refuse weights that are not finite after a step whose losses are."""
    for name, weight in module.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            _refuse(f"the weight {name} is not finite", (done - 1, epoch), data, ())


def _refuse(what: str, place: tuple[int, int], data: Batches, tasks: Sequence[str]) -> NoReturn:
    """Stop a training at a 0-based step of a 0-based epoch."""
    number, epoch = place
    shown = data.describe(epoch * data.steps + number, tasks)
    msg = (
        f"training stopped at step {number + 1} of {data.steps} of epoch {epoch + 1}: {what}"
        f"{'; ' if shown else ''}{shown}; mend or leave out such measurements, or lower "
        f"learning_rate where they are right"
    )
    raise RunError(msg)


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
        self._maker = ThreadPoolExecutor(1, "batch")
        self._ahead: tuple[int, Future[Any]] | None = None

    def close(self) -> None:
        """Make no more batches."""
        self._maker.shutdown(cancel_futures=True)

    def _batch(self, step: int) -> Any:  # noqa: ANN401  what the module's forward takes
        """The batch of a step; that of the next one is made while this one is used."""
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = step, self._make_ahead(step)
        batch = self._ahead[1].result()
        self._ahead = step + 1, self._make_ahead(step + 1)
        return self._fabric.to_device(batch)

    def _make_ahead(self, step: int) -> "Future[Any]":
        place = {"rank": self._fabric.global_rank, "world": self._fabric.world_size}
        return self._maker.submit(self._data.at, step, **place)

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

    def step(self, step: int, total: int) -> tuple[list[str], Tensor, Tensor]:
        """Take one step of `total`; the tasks, their losses, and the norm of the gradient."""
        fabric, config, optimizer = self._fabric, self._config, self._optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["speed"] * rate(config, step, total)
        batch = self._batch(step)
        optimizer.zero_grad()
        losses = self._wrapped(batch)
        weighted = [loss * config.weights.get(name, 1.0) for name, loss in losses.items()]
        # processes average their gradients, and each holds a share of one sum
        fabric.backward(torch.stack(weighted).sum() * fabric.world_size)
        norm = nn.utils.clip_grad_norm_(self._wrapped.parameters(), config.clip)
        optimizer.step()
        shares = torch.stack([loss.detach() for loss in losses.values()])
        everyone: Any = fabric.all_reduce(shares, reduce_op="sum")  # Any: tensor or list
        return list(losses), everyone, norm

    def is_checked(self, number: int) -> bool:
        """Whether losses are looked at after this 0-based step of an epoch."""
        every = 1 if self._fabric.device.type == "cpu" else CHECKED
        return (number + 1) % every == 0 or number + 1 == self._data.steps

    def agree(self, late: bool) -> bool:
        """Whether it is late in any process: all must stop at the same step."""
        if self._fabric.world_size == 1:
            return late
        said = torch.tensor(float(late), device=self._fabric.device)
        everyone: Any = self._fabric.all_reduce(said, reduce_op="sum")  # Any: tensor or list
        return bool(everyone > 0)


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
    config: TrainingConfig, old: Progress, scores: Scores, seconds: float, left: float | None
) -> tuple[Progress, list[str]]:
    """Progress after an epoch, and the checkpoints for which it is the best so far.

    `left` are the seconds for further epochs; None: no limit. Without a score there is no early
    stopping: the last epoch is the best.
    """
    epoch = old.epoch + 1
    planned = config.epochs
    if epoch >= old.planned:
        # the schedule has come to its end, whatever time is left
        planned = epoch
    elif left is not None:
        # the schedule is shortened to what the time allows, at the pace so far
        more = MARGIN * left / (seconds / epoch) - RESERVE
        planned = epoch + int(min(max(more, 0.0), planned - epoch))
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
