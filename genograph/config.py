"""Configuration of a run: which model, and how it is trained; frozen, unknown keys refused."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
)

from genograph.errors import RunError
from genograph.models import ModelConfig, find_model
from genograph.schema import graph_schema

DEFAULT_MODEL = "genome"


def default_batch() -> dict[str, int]:
    """Examples of each task in a batch."""
    along = {"gene": 8}
    vectors = {p.name: along.get(p.axis, 64) for p in graph_schema().modelled if p.axis}
    return {"pairs": 512, "singles": 128, **vectors}


class TrainingConfig(BaseModel):
    """How a module is fitted, whatever it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, ge=0)
    """Seed of the first member; member k has seed + k."""
    members: int = Field(default=3, ge=1, le=64)
    """Ensemble size; the predicted s.d. is taken over members."""
    epochs: int = Field(default=20, ge=1)
    """Longest training, in epochs."""
    steps_per_epoch: int = Field(default=0, ge=0)
    """Steps an epoch; 0: one pass over the training pairs, within 10 to 60 steps."""
    minutes: float | None = Field(default=None, gt=0)
    """Longest training of all members together, from one start to its end or to where it stops and
    the same command resumes, in minutes; None: no limit."""
    batch: Mapping[str, int] = Field(default_factory=default_batch)
    """Examples in a batch by task: pairs (strains with two or more perturbations), singles (single
    mutants with a fitness), and the vector phenotypes; tasks not named keep their default."""
    weights: Mapping[str, float] = {"pairs": 4.0}
    """Weight of a task's loss; 1 for tasks not named."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Peak of the learning rate."""
    warm_up: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps over which the rate rises; then it falls as a cosine to 0."""
    weight_decay: float = Field(default=0.3, ge=0)
    """Decoupled weight decay of matrices and learned vectors; not of biases and noise."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    average: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the running average of the weights, which predicts."""
    patience: int = Field(default=12, ge=1)
    """Epochs without a better validation score before a member stops."""
    best: Literal["joint", "each"] = "joint"
    """Which weights predict: of the epoch with the best joint score, or for each quantity those of
    its own best epoch."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto is CUDA if there is one."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0: one below 4,000 nodes, whose operations are too small to share, else all."""
    precision: Literal["32-true", "bf16-mixed", "64-true"] = "32-true"
    """Arithmetic, in Lightning Fabric's words."""

    @field_validator("batch")
    @classmethod
    def _complete_batch(cls, batch: Mapping[str, int]) -> Mapping[str, int]:
        _check_tasks("batch", batch, least=1.0)
        return default_batch() | dict(batch)

    @field_validator("weights")
    @classmethod
    def _known_weights(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        _check_tasks("weights", weights, least=0.0)
        return weights


def _check_tasks(
    name: str, given: Mapping[str, int] | Mapping[str, float], *, least: float
) -> None:
    known = default_batch()
    for task, value in given.items():
        if task not in known:
            msg = f"no task is called {task}; choose from {', '.join(known)}"
            raise ValueError(msg)
        if not value >= least:
            msg = f"{name}.{task} is {value:g}, wanted {least:g} or more"
            raise ValueError(msg)


def _parse_model(given: Any) -> Any:  # noqa: ANN401  pydantic gives what it was given
    """The configuration of the model that `name` names."""
    if not isinstance(given, Mapping):
        return given
    try:
        return find_model(str(given.get("name", DEFAULT_MODEL))).Config.model_validate(dict(given))
    except RunError as error:
        raise ValueError(str(error)) from error


class TrainConfig(BaseModel):
    """Everything a training depends on besides its cohort.

    Attributes:
        model: which model, and its shape.
        training: how it is trained.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[SerializeAsAny[ModelConfig], BeforeValidator(_parse_model)] = Field(
        default_factory=lambda: find_model(DEFAULT_MODEL).Config.model_validate({})
    )
    training: TrainingConfig = TrainingConfig()


PARTS = ("model", "training")


def read_config(
    path: Path | str | None = None, *, model: str | None = None, **settings: object
) -> TrainConfig:
    """The configuration: defaults, then a TOML file, then settings.

    Args:
        path: a TOML file with the tables `[model]` and `[training]`; None: none.
        model: the model's name, a file of genograph/models; None: the file's, else genome.
        settings: of the model or of its training, by their own names: members=1,
            heads=("fitness",).

    Returns:
        The frozen configuration.

    Raises:
        RunError: no such file, no TOML, an unknown key or a value out of range.

    Example:
        >>> config = genograph.read_config(members=1, epochs=1, device="cpu")
        >>> config.model.name, config.training.members
        ('genome', 1)
    """
    given: dict[str, dict[str, object]] = {part: {} for part in PARTS}
    if path is not None:
        given |= _read_toml(Path(path))
    name = given["model"].get("name", DEFAULT_MODEL) if model is None else model
    try:
        kind = find_model(str(name))
    except RunError as error:
        if model is not None:
            raise
        msg = f"{path}: {error}"
        raise RunError(msg) from error
    fields = {"model": kind.Config.model_fields, "training": TrainingConfig.model_fields}
    given["model"]["name"] = name
    for setting, value in settings.items():
        part = next((part for part in PARTS if setting in fields[part]), None)
        if part is None:
            choices = ", ".join([*fields["model"], *fields["training"]])
            msg = f"no setting is called {setting}; choose from {choices}"
            raise RunError(msg)
        given[part][setting] = value
    try:
        return TrainConfig.model_validate(given)
    except ValidationError as error:
        raise RunError(_explain(error, path, given, settings, fields)) from error


def _read_toml(path: Path) -> dict[str, dict[str, object]]:
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise RunError(msg) from None
    except (ValueError, RecursionError, OSError) as error:
        # a TOMLDecodeError is a ValueError, and so is a number of too many digits
        msg = f"{path}: cannot be read as TOML: {error}"
        raise RunError(msg) from error
    for key, value in found.items():
        if key in PARTS and isinstance(value, dict):
            continue
        if isinstance(value, dict):
            msg = f"{path}: no table is called [{key}]; choose from [model] and [training]"
        elif key == "model":
            msg = f"{path}: got model = {value!r:.60}; write it as name = ... in the table [model]"
        else:
            msg = f"{path}: {key} stands outside of the tables [model] and [training]; move it"
        raise RunError(msg)
    return {part: dict(found.get(part, {})) for part in PARTS}


def _explain(
    error: ValidationError,
    path: Path | str | None,
    given: Mapping[str, Mapping[str, object]],
    settings: Mapping[str, object],
    fields: Mapping[str, Mapping[str, object]],
) -> str:
    """One line on the first thing that is wrong with a configuration."""
    first = error.errors()[0]
    # a model's own errors come as one of its part, a setting's with the path to it
    place = [str(each) for each in first["loc"]]
    part, name = place[0], place[1] if len(place) > 1 else ""
    where = f"{path}: " if path is not None and name not in settings else ""
    if first["type"] == "extra_forbidden":
        return f"{where}no setting is called {name}; choose from {', '.join(fields[part])}"
    reason = first["msg"].removeprefix("Value error, ").replace("Input should be ", "wanted ")
    reason = reason.replace("a valid tuple", "a list").replace("a valid dictionary", "a table")
    if not name:
        return f"{where}{part}: {reason}"
    return f"{where}setting {name}: got {first['input']!s:.80}; {reason}"


def format_config(config: TrainConfig) -> str:
    """A configuration as a TOML file that `read_config` reads.

    Args:
        config: any configuration.

    Returns:
        The text; settings without a value stand as comments.

    Example:
        >>> print(genograph.format_config(genograph.read_config(members=1)))
        [model]
        name = "genome"
        ...
    """
    lines: list[str] = []
    for part, settings in config.model_dump(mode="json").items():
        lines += [f"[{part}]", *(_format_setting(*each) for each in settings.items()), ""]
    return "\n".join(lines)


def _format_setting(name: str, value: object) -> str:
    if value is None:
        return f"# {name} = "
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {json.dumps(each)}" for key, each in value.items())
        return f"{name} = {{{inner}}}"
    # numbers, truth values, texts and lists of them are written alike in JSON and TOML
    return f"{name} = {json.dumps(value)}"
