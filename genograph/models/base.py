"""The contract of a strain model: all that training, prediction and evaluation know of one.

A model lives in one file of this folder, whose `MODEL` names its class. It says how it reads a
cohort (`Inputs`), what it fits beforehand (`fit_statistics`), and what it predicts of planned
strains. Losses, checkpoints, ensembles, scores and write-back follow from that.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor, nn

from genograph.cohorts import Cohort, Strains
from genograph.cohorts.ragged import take_ragged
from genograph.engine.base import Perturbed
from genograph.schema import graph_schema

FAST_NOISE = 10.0
"""How much faster than the weights the learned noise of scalars learns, which starts far too wide.

Not that of vectors: a few hundred of them are soon overfitted, and a noise that follows at once
makes their gradients drown those of the scalars.
"""


class ModelConfig(BaseModel):
    """What every model's configuration has; each model adds `name` and its own shape."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Which model: a file of genograph/models."""
    heads: tuple[str, ...]
    """Phenotypes to train jointly; those the cohort has no experiments of are left out."""

    @classmethod
    def learnable(cls) -> tuple[str, ...]:
        """The phenotypes that the model can learn: all that cohorts carry."""
        return tuple(phenotype.name for phenotype in graph_schema().modelled)

    @model_validator(mode="before")
    @classmethod
    def _all_heads(cls, given: Any) -> Any:  # noqa: ANN401  pydantic gives what it was given
        if isinstance(given, dict) and "heads" not in given:
            return {**given, "heads": cls.learnable()}
        return given

    @model_validator(mode="after")
    def _known_heads(self) -> "ModelConfig":
        known = self.learnable()
        if not self.heads or set(self.heads) - set(known) or len(set(self.heads)) < len(self.heads):
            msg = f"heads are one or more of {', '.join(known)}, each once"
            raise ValueError(msg)
        if ordered := tuple(head for head in known if head in self.heads):
            object.__setattr__(self, "heads", ordered)
        return self


class Quantity(NamedTuple):
    """One number, or vector, that a model predicts of a strain.

    Attributes:
        name: as PREDICTED and Prediction spell it.
        phenotype: what it belongs to.
        unit: of the data, and so of predictions.
        needs: the fewest perturbations of a strain that has it.
        columns: the names along its axis; None for one number.
    """

    name: str
    phenotype: str
    unit: str
    needs: int
    columns: tuple[str, ...] | None


def read_quantities(cohort: Cohort, heads: tuple[str, ...]) -> tuple[Quantity, ...]:
    """The quantities of some phenotypes, in the units and along the axes of a cohort."""
    predicted = graph_schema().relationships["PREDICTED"].properties
    found = []
    for phenotype in graph_schema().modelled:
        if phenotype.name not in heads:
            continue
        vectors = cohort.vectors.get(phenotype.name)
        for name, needs in phenotype.quantities.items():
            unit = predicted[name].unit or "" if vectors is None else vectors.unit
            columns = None if vectors is None else vectors.names
            found.append(Quantity(name, phenotype.name, unit, needs, columns))
    return tuple(found)


@runtime_checkable
class StrainPlan(Protocol):
    """The integers that a model needs of some strains, made on the CPU.

    A protocol, since plans are named tuples, which inherit from nothing else.
    """

    @property
    def n_strain(self) -> int:
        """How many strains are planned."""

    def take(self, rows: Int64[np.ndarray, " taken"]) -> "StrainPlan":
        """The plan of these strains, by their place in this one, in this order."""

    def tensors(self, device: torch.device | str = "cpu") -> Any:  # noqa: ANN401  the model's own
        """What the model's `predict` takes, on a device.

        Tensors in named tuples, which a training makes on the CPU and moves.
        """


class PerturbationPlan(NamedTuple):
    """A plan of perturbations alone: all that a model needs that follows no edge.

    Attributes:
        offsets: perturbations of strain i: offsets[i] to offsets[i + 1].
        gene: gene row of each.
        dose: fraction of wild-type function left, 0 to 2.
    """

    offsets: Int64[np.ndarray, " strain_1"]
    gene: Int64[np.ndarray, " perturbation"]
    dose: Float32[np.ndarray, " perturbation"]

    @property
    def n_strain(self) -> int:
        """How many strains are planned."""
        return len(self.offsets) - 1

    def take(self, rows: Int64[np.ndarray, " taken"]) -> "PerturbationPlan":
        """See StrainPlan."""
        entry, offsets = take_ragged(self.offsets, rows)
        return PerturbationPlan(offsets, self.gene[entry], self.dose[entry])

    def tensors(self, device: torch.device | str = "cpu") -> Perturbed:
        """See StrainPlan."""
        of_strain = np.repeat(np.arange(self.n_strain), np.diff(self.offsets))
        strain, gene, dose = (
            torch.from_numpy(np.ascontiguousarray(each)).to(device)
            for each in (of_strain, self.gene, self.dose)
        )
        return Perturbed(self.n_strain, strain, gene, dose)


class Inputs(ABC):
    """What a model reads of a cohort, on one device; all members of an ensemble share it.

    Attributes:
        quantities: what the model predicts, in the cohort's units.
        device: where its tensors are.
        facts: what was found or chosen while reading; goes into the run's manifest, and to the next
            reading of the same cohort.
        words: the same for the line that a training begins with; may be empty.
    """

    quantities: tuple[Quantity, ...]
    device: torch.device
    facts: Mapping[str, int | str] = MappingProxyType({})
    words: str = ""

    @abstractmethod
    def plan(self, strains: Strains, phenotype: str) -> StrainPlan:
        """The plan of strains, for the quantities of one phenotype.

        `strains.single` holds rows of the cohort's strains.
        """

    def plan_combinations(self, strains: Strains, size: int) -> Any:  # noqa: ANN401  see tensors
        """The tensors of a plan of fitness for strains of `size` deletions each.

        Every gene has one dose throughout, so that a model may make the plan on the device.
        """
        return self.plan(strains, "fitness").tensors(self.device)

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Inputs":
        """The same: a copy of a model shares what it reads."""
        return self


class ScalarBatch(NamedTuple):
    """Examples of a phenotype that is one number, as tensors.

    Attributes:
        plan: tensors of the strains' plan.
        phenotype: its name.
        study: index into Cohort.studies.
        target: interaction score, or the phenotype's value.
        variance: reported s.d. squared; 0 where none was reported.
        is_interaction: which of the two `target` is.
        n: size of the whole batch, over all processes.
    """

    plan: Any  # what the model's plan gives
    phenotype: str
    study: Int64[Tensor, " example"]
    target: Float32[Tensor, " example"]
    variance: Float32[Tensor, " example"]
    is_interaction: Bool[Tensor, " example"]
    n: int


class VectorBatch(NamedTuple):
    """Examples of a phenotype that is a vector, as tensors.

    Attributes:
        plan: tensors of the strains' plan.
        phenotype: its name.
        study: index into Cohort.studies.
        values: NaN where not measured or not predictable.
        n: measured values of the whole batch, over all processes.
    """

    plan: Any  # what the model's plan gives
    phenotype: str
    study: Int64[Tensor, " example"]
    values: Float32[Tensor, "example axis"]
    n: int


Batch = Mapping[str, ScalarBatch | VectorBatch]
"""A batch by task: `pairs`, `singles`, and the vector phenotypes by name."""


class Statistics(nn.Module):
    """Tensors that a model takes from its cohort before training, kept in its checkpoint."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.clone())

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of this name."""
        return self.get_buffer(name)


class StrainModel(nn.Module, ABC):
    """A network that predicts phenotypes of strains; the forward pass gives its losses.

    Attributes:
        Config: its configuration.
        anchored: whether it predicts exactly the wild type's values for strains without
            perturbation, whatever its weights.
    """

    Config: ClassVar[type[ModelConfig]]
    anchored: ClassVar[bool] = False

    def __init__(
        self, config: ModelConfig, inputs: Inputs, statistics: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.config, self.inputs = config, inputs
        self.statistics = Statistics(statistics)

    @classmethod
    @abstractmethod
    def read_inputs(
        cls,
        cohort: Cohort,
        config: Any,  # noqa: ANN401  the model's own Config
        device: torch.device | str = "cpu",
        *,
        facts: Mapping[str, int | str] = MappingProxyType({}),
    ) -> Inputs:
        """What the model reads of a cohort; `facts` are those of an earlier reading of it.

        Raises:
            RunError: the cohort lacks what the model needs.
        """

    @classmethod
    @abstractmethod
    def fit_statistics(
        cls,
        cohort: Cohort,
        inputs: Any,  # noqa: ANN401  the model's own Inputs
        config: Any,  # noqa: ANN401  the model's own Config
    ) -> dict[str, Tensor]:
        """What the model starts from; a function of the training fold and the genome.

        Raises:
            RunError: the training fold lacks what the model needs.
        """

    @abstractmethod
    def encode(self) -> Any:  # noqa: ANN401  what the model's `predict` takes
        """The wild type, encoded once for a step or a prediction."""

    @abstractmethod
    def predict(
        self,
        encoded: Any,  # noqa: ANN401  of `encode`
        plan: Any,  # noqa: ANN401  of StrainPlan.tensors
        phenotype: str,
    ) -> dict[str, Float[Tensor, "strain ..."]]:
        """Every quantity of a phenotype, in the data's unit; NaN where it cannot be predicted."""

    def scale(self, quantity: str) -> Tensor | float:
        """The unit in which errors of a quantity are taken: 1, or one number a column."""
        return 1.0

    def speeds(self) -> Mapping[str, float]:
        """Parameters that learn faster or slower than the others, by their factor."""
        scalars = [q.name for q in self.inputs.quantities if q.columns is None]
        return {f"log_noise.{name}": FAST_NOISE for name in scalars if name in self.log_noise}

    def strains_at_once(self, phenotype: str) -> int:
        """Strains whose predictions fit into memory together."""
        axis = graph_schema().phenotypes[phenotype].axis
        return {"": 4096, "gene": 16}.get(axis, 512)

    def learn_noise(self) -> None:
        """Give every quantity a learned log variance by study, from the statistics `noise_*`.

        It is what the reported s.d. leaves open: at first nothing is explained, so all of it.
        """
        starts = {q.name: self.statistics[f"noise_{q.name}"] for q in self.inputs.quantities}
        self.log_noise = nn.ParameterDict(
            {name: nn.Parameter(start.clone()) for name, start in starts.items()}
        )

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The losses of a batch by task."""
        return self.loss(self.encode(), batch)

    def loss(self, encoded: Any, batch: Batch) -> dict[str, Float[Tensor, ""]]:  # noqa: ANN401
        """The negative log-likelihood by task: sum over this process's part / whole batch's size.

        Gaussian, with variance = reported s.d. squared + learned noise of the study and quantity;
        vectors in units of their scales.
        """
        losses = {}
        for task, part in batch.items():
            predicted = self.predict(encoded, part.plan, part.phenotype)
            if isinstance(part, ScalarBatch):
                value, interaction = part.phenotype, "interaction"
                chosen = part.is_interaction
                guess = torch.where(chosen, predicted[interaction], predicted[value])
                noise = torch.where(
                    chosen,
                    self.log_noise[interaction][part.study],
                    self.log_noise[value][part.study],
                )
                loss = gaussian_loss(guess - part.target, part.variance + noise.exp())
            else:
                name = part.phenotype
                error = (predicted[name] - part.values) / self.scale(name)
                measured = ~torch.isnan(part.values)
                variance = self.log_noise[name][part.study].exp()[:, None].expand_as(error)
                loss = gaussian_loss(
                    torch.where(measured, error, 0.0), torch.where(measured, variance, 1.0)
                )
                # a value that was not measured has error 0 at variance 1, and so adds nothing
            losses[task] = loss.sum() / max(part.n, 1)
        return losses


def gaussian_loss(
    error: Float[Tensor, "*shape"], variance: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Half the squared error over the variance, plus half its logarithm; without the constant."""
    variance = variance.clamp(min=1e-6)
    return 0.5 * (error**2 / variance + variance.log())
