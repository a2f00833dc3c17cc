"""Configuration of a run: which model, and how it is trained; frozen, unknown keys refused."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, field_validator

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
