"""Fit one member: the loop, its schedule, averaging, early stopping and resume."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from genograph.cohorts import Cohort
from genograph.engine.base import Engine
from genograph.engine.topology import Topology
from genograph.models.config import TrainConfig
from genograph.models.genome import GenomeModel, Setting
from genograph.training.checkpoint import Progress, load_state, save_state, write_tensors
from genograph.training.examples import TASKS, Batch, Objective, Stream, Tasks, batch_of
from genograph.training.validation import Scores, pace_of, validate

QUOTA = {
    "pairs": "pairs",
    "singles": "single_strains",
    "expression": "expression_strains",
    "morphology": "morphology_strains",
}
FEWEST_STEPS, MOST_STEPS = 10, 60


class Material(NamedTuple):
    """What all members are fitted to.

    Attributes:
        topology, engine: on the device.
        setting: what models start from.
        features, has_features: of the genes, on the device.
        train, validation: examples of the two folds.
        mean_profile: mean expression of the training strains; None without expression.
    """

    topology: Topology
    engine: Engine
    setting: Setting
    features: Tensor
    has_features: Tensor
    train: Tasks
    validation: Tasks
    mean_profile: NDArray[Any] | None

    def objective(self, model: GenomeModel) -> Objective:
        """The joint loss of a model on this material."""
        return Objective(model, self.topology, self.engine, self.features, self.has_features)


class Epoch(NamedTuple):
    """One line of metrics.csv: mean losses over the epoch, scores after it."""

    member: int
    epoch: int
    step: int
    seconds: float
    learning_rate: float
    loss: float
    loss_pairs: float
    loss_singles: float
    loss_expression: float
    loss_morphology: float
    validation_interaction: float
    validation_fitness: float
    validation_expression: float
    validation_morphology: float
    wild_type_fitness: float


def material_of(
    cohort: Cohort,
    topology: Topology,
    engine: Engine,
    setting: Setting,
    folds: tuple[Tasks, Tasks],
    device: torch.device,
) -> Material:
    """Everything members share, on the device."""
    expression = folds[0].expression
    mean = None
    if expression is not None:
        measured = ~np.isnan(expression.values)
        total = np.where(measured, expression.values, 0.0).sum(0)
        mean = total / np.maximum(measured.sum(0), 1)
    return Material(
        topology,
        engine,
        setting,
        torch.from_numpy(cohort.genome.features).to(device),
        torch.from_numpy(cohort.genome.has_features).to(device),
        *folds,
        mean,
    )


def steps_of(config: TrainConfig, train: Tasks) -> int:
    """Steps an epoch: as configured, or one pass over the pairs (else the largest task)."""
    if config.steps_per_epoch:
        return config.steps_per_epoch
    sizes = {name: len(getattr(train, name) or ()) for name in TASKS}
    name = "pairs" if sizes["pairs"] else max(sizes, key=lambda k: sizes[k])
    quota: int = getattr(config, QUOTA[name])
    steps = math.ceil(sizes[name] / quota)
    return min(max(steps, FEWEST_STEPS), MOST_STEPS)


def rate(config: TrainConfig, step: int, total: int) -> float:
    """Learning rate of a 0-based step: linear warm-up, then a cosine to 0."""
    rising = max(round(config.warm_up * total), 1)
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    share = min((step - rising) / max(total - rising, 1), 1.0)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def fit(
    fabric: Fabric,
    config: TrainConfig,
    material: Material,
    member: int,
    folder: Path,
    *,
    told: Callable[[Epoch, Progress], None],
    planned: Callable[[int, float], None] | None = None,
) -> None:
    """Train a member from its last saved state, or from the start, and write its checkpoint.

    `told` hears of every epoch, after its state is safe on disk; `planned`, before the first, of
    its steps and of the seconds it should take with the validation after them, by the pace of two
    steps that change nothing.
    """
    seed = config.seed + member
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GenomeModel(config, material.topology, material.setting)
    # both before Fabric converts the one it wraps
    real = torch.float64 if config.precision == "64-true" else torch.float32
    model = model.to(fabric.device, real)
    average = copy.deepcopy(model).requires_grad_(False)
    raw = torch.optim.AdamW(_groups(model, config.weight_decay), lr=config.learning_rate)
    progress = Progress(planned=config.epochs)
    best: dict[str, Tensor] = {}
    state = folder / "state.safetensors"
    if state.is_file():
        best, progress = load_state(state, model, average, raw)
    # Any: Fabric wraps module and optimizer in types of its own
    wrapped: Any
    optimizer: Any
    wrapped, optimizer = fabric.setup(material.objective(model), raw)
    scored = material.objective(average)
    streams = {
        name: Stream(len(task), getattr(config, QUOTA[name]), (seed, number))
        for number, name in enumerate(TASKS)
        if (task := getattr(material.train, name)) is not None
    }
    steps = steps_of(config, material.train)
    if planned is not None and not progress.done:
        pace = _pace(fabric, wrapped, optimizer, material, streams)
        planned(steps, steps * pace + pace_of(scored, material.validation))
    while not progress.done:
        start = time.perf_counter()
        sums = dict.fromkeys(TASKS, 0.0)
        for step in range(progress.epoch * steps, (progress.epoch + 1) * steps):
            for group in optimizer.param_groups:
                group["lr"] = group["speed"] * rate(config, step, progress.planned * steps)
            losses = _step(
                fabric,
                wrapped,
                optimizer,
                material,
                streams,
                step,
                clip=config.clip,
                pair_weight=config.pair_weight,
            )
            _follow(average, model, min(config.average, (1 + step) / (10 + step)))
            for name, value in losses.items():
                sums[name] += value
        scores = validate(scored, material.validation, material.mean_profile)
        seconds = progress.seconds + time.perf_counter() - start
        # every process must take the same way, and clocks differ
        seconds = float(fabric.broadcast(seconds))
        progress, better = _onward(config, progress, scores, seconds)
        if better:
            best = {k: v.detach().clone() for k, v in average.state_dict().items()}
        if fabric.is_global_zero:
            save_state(state, model, average, best, raw, progress)
            told(_epoch(member, progress, steps, scores, sums, streams, config), progress)
        fabric.barrier()
    if fabric.is_global_zero:
        write_tensors(folder / "model.safetensors", best)
    fabric.barrier()


def _pace(
    fabric: Fabric,
    wrapped: nn.Module,
    optimizer: torch.optim.Optimizer,
    material: Material,
    streams: Mapping[str, Stream],
) -> float:
    """Seconds a step, by the second of two whose gradients are thrown away; the first warms up."""
    seconds = 0.0
    for step in range(2):
        start = time.perf_counter()
        batch = _batch(fabric, material, streams, step)
        fabric.backward(torch.stack(list(wrapped(batch).values())).sum())
        if fabric.device.type == "cuda":
            torch.cuda.synchronize(fabric.device)
        seconds = time.perf_counter() - start
    optimizer.zero_grad()
    return seconds


def _batch(fabric: Fabric, material: Material, streams: Mapping[str, Stream], step: int) -> Batch:
    return batch_of(
        material.train,
        {name: stream.at(step) for name, stream in streams.items()},
        fabric.device,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )


def _step(
    fabric: Fabric,
    wrapped: nn.Module,
    optimizer: torch.optim.Optimizer,
    material: Material,
    streams: Mapping[str, Stream],
    step: int,
    *,
    clip: float,
    pair_weight: float,
) -> dict[str, float]:
    batch = _batch(fabric, material, streams, step)
    optimizer.zero_grad()
    losses = wrapped(batch)
    # processes average their gradients, and each holds a share of one sum
    weighted = [loss * (pair_weight if n == "pairs" else 1.0) for n, loss in losses.items()]
    total = torch.stack(weighted).sum() * fabric.world_size
    fabric.backward(total)
    nn.utils.clip_grad_norm_(wrapped.parameters(), clip)
    optimizer.step()
    shares = torch.stack([loss.detach() for loss in losses.values()])
    everyone: Any = fabric.all_reduce(shares, reduce_op="sum")  # Any: tensor or list
    return dict(zip(losses, everyone.tolist(), strict=True))


NOISE_RATE = 10.0
"""How much faster than the weights the log variance of fitness learns, which starts far too wide.

Not that of expression and morphology: a few hundred vectors are soon overfitted, and a noise that
follows at once makes their gradients drown those of the pairs.
"""


def _groups(model: nn.Module, decay: float) -> Iterable[dict[str, Any]]:
    """Parameters with weight decay, without it, and fast ones; `speed` multiplies the rate."""
    free: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    noise: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        last = name.rsplit(".", 1)[-1]
        if name in ("log_noise.fitness", "log_noise.interaction"):
            noise.append(parameter)
        elif parameter.ndim <= 1 or last in ("bias", "scale", "shift"):
            free.append(parameter)
        else:
            decayed.append(parameter)
    yield {"params": decayed, "weight_decay": decay, "speed": 1.0}
    yield {"params": free, "weight_decay": 0.0, "speed": 1.0}
    yield {"params": noise, "weight_decay": 0.0, "speed": NOISE_RATE}


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    pairs = zip(average.parameters(), model.parameters(), strict=True)
    for mean, value in pairs:
        mean.lerp_(value.detach(), 1.0 - decay)


def _onward(
    config: TrainConfig, old: Progress, scores: Scores, seconds: float
) -> tuple[Progress, bool]:
    """Progress after an epoch, and whether it is the best so far."""
    epoch = old.epoch + 1
    planned = config.epochs
    if config.minutes is not None:
        # the schedule is shortened to what the time allows, at the pace so far
        share = config.minutes * 60.0 / config.members
        planned = min(planned, max(int(share / (seconds / epoch)), epoch))
    score = scores.decisive
    # without a score there is no early stopping: the last epoch is the best
    better = math.isnan(score) or old.best is None or score > old.best
    best = old.best if math.isnan(score) else max(score, old.best or -math.inf)
    if better and not math.isnan(score):
        best = score
    best_epoch = epoch if better else old.best_epoch
    done = epoch >= planned or epoch - best_epoch >= config.patience
    return Progress(epoch, planned, seconds, best, best_epoch, done), better


def _epoch(
    member: int,
    progress: Progress,
    steps: int,
    scores: Scores,
    sums: Mapping[str, float],
    streams: Mapping[str, Stream],
    config: TrainConfig,
) -> Epoch:
    losses = {n: sums[n] / steps if n in streams else math.nan for n in TASKS}
    last = progress.epoch * steps
    return Epoch(
        member,
        progress.epoch,
        last,
        progress.seconds,
        rate(config, last - 1, progress.planned * steps),
        sum(sums.values()) / steps,
        losses["pairs"],
        losses["singles"],
        losses["expression"],
        losses["morphology"],
        scores.interaction,
        scores.fitness,
        scores.expression,
        scores.morphology,
        scores.wild_type_fitness,
    )
