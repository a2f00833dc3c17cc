"""The perturbation-nodes benchmark: fitness from the CRE embeddings of the perturbed genes alone.

A deep set (Zaheer et al. 2017, arXiv:1703.06114): phi of each perturbed gene's windows, summed over
the strain's perturbations, then rho. It follows no edge, so what a genome graph adds is what a
model of the genome scores above it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from genograph.cohorts import Cohort, Genome, Strains
from genograph.engine.base import Perturbed
from genograph.errors import RunError
from genograph.models._statistics import ProjectedFeatures, fit_components, fit_noise
from genograph.models.base import (
    Inputs,
    ModelConfig,
    PerturbationPlan,
    StrainModel,
    read_quantities,
)

WINDOWS = ("upstream", "downstream")


class DeepsetConfig(ModelConfig):
    """The shape of the deep set."""

    name: Literal["deepset"] = "deepset"
    windows: Literal["upstream", "downstream", "both"] = "both"
    """Whose embeddings are read: of the promoter's window, the terminator's, or both."""
    projected: int = Field(default=64, ge=1, le=1024)
    """Principal components of the embeddings that enter the network."""
    width: int = Field(default=32, ge=1, le=1024)
    """Width of what perturbations add up to."""
    hidden: int = Field(default=64, ge=1, le=1024)
    """Hidden units of phi and of rho."""

    @classmethod
    def learnable(cls) -> tuple[str, ...]:
        """Fitness, and with it interaction scores."""
        return ("fitness",)


class DeepsetInputs(Inputs):
    """The embeddings of some windows of every gene, on a device."""

    def __init__(self, cohort: Cohort, config: DeepsetConfig, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.quantities = read_quantities(cohort, config.heads)
        columns = find_columns(cohort.genome, config.windows)
        features = cohort.genome.features[:, columns]
        present = torch.from_numpy(features.any(1))
        self.features = torch.from_numpy(features).to(self.device)
        self.has_features = present.to(self.device)
        without = int((~present).sum())
        self.facts = MappingProxyType({"genes_without_embedding": without})
        self.words = f"{features.shape[1]} numbers of {config.windows} windows a gene"

    def plan(self, strains: Strains, phenotype: str) -> PerturbationPlan:
        """See Inputs."""
        return PerturbationPlan(strains.offsets, strains.gene, strains.dose)


def find_columns(genome: Genome, windows: str) -> slice:
    """The columns of the features that are of some windows.

    Raises:
        RunError: the genome has no embedding of them, or of several models side by side.
    """
    names = genome.feature_names
    kinds = [name.rsplit(":", 1)[1] for name in names]
    wanted = list(WINDOWS) if windows == "both" else [windows]
    if any(kind not in kinds for kind in wanted):
        msg = (
            f"the cohort has no embedding of {' and '.join(wanted)} windows, it has "
            f"{', '.join(names) or 'none'}; embed them (genograph cre) and export again"
        )
        raise RunError(msg)
    if len({name.rsplit(":", 1)[0] for name in names}) > 1:
        msg = (
            f"the cohort has embeddings of several models ({', '.join(names)}); export it with "
            f"one (export --embedding)"
        )
        raise RunError(msg)
    if windows == "both":
        return slice(None)
    width = genome.features.shape[1] // len(names)
    start = kinds.index(windows) * width
    return slice(start, start + width)


class Deepset(StrainModel):
    """f(S) = 1 + rho(sum over perturbations of (1 - dose) phi(gene)) - rho(0).

    Statistics: `projection` and `mean` of the embeddings, see fit_components; `noise_QUANTITY`.
    """

    Config = DeepsetConfig
    anchored = True
    config: DeepsetConfig
    inputs: DeepsetInputs

    def __init__(
        self, config: DeepsetConfig, inputs: DeepsetInputs, statistics: Mapping[str, Tensor]
    ) -> None:
        super().__init__(config, inputs, statistics)
        n_component = statistics["projection"].shape[1]
        self._projected = ProjectedFeatures()
        self.missing = nn.Parameter(torch.zeros(config.width))
        self.phi = nn.Sequential(
            nn.Linear(n_component, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.width),
        )
        self.rho = nn.Sequential(
            nn.Linear(config.width, config.hidden), nn.SiLU(), nn.Linear(config.hidden, 1)
        )
        self.learn_noise()

    @classmethod
    def read_inputs(
        cls,
        cohort: Cohort,
        config: DeepsetConfig,
        device: torch.device | str = "cpu",
        *,
        facts: Mapping[str, int | str] = MappingProxyType({}),
    ) -> DeepsetInputs:
        """See StrainModel."""
        return DeepsetInputs(cohort, config, device)

    @classmethod
    def fit_statistics(
        cls, cohort: Cohort, inputs: DeepsetInputs, config: DeepsetConfig
    ) -> dict[str, Tensor]:
        """See StrainModel."""
        features, has = inputs.features.cpu().numpy(), inputs.has_features.cpu().numpy()
        projection, mean = fit_components(features, has, config.projected)
        start = {"projection": torch.from_numpy(projection), "mean": torch.from_numpy(mean)}
        return start | fit_noise(cohort, config.heads)

    def encode(self) -> Float[Tensor, "gene width"]:
        """phi of every gene."""
        statistics = self.statistics
        features = self._projected(
            self.inputs.features, statistics["mean"], statistics["projection"]
        )
        return torch.where(self.inputs.has_features[:, None], self.phi(features), self.missing)

    def predict(
        self, encoded: Float[Tensor, "gene width"], plan: Perturbed, phenotype: str
    ) -> dict[str, Float[Tensor, "strain ..."]]:
        """See StrainModel."""
        lost = (1.0 - plan.dose.to(encoded.dtype))[:, None]
        each = encoded[plan.gene] * lost
        total = each.new_zeros(plan.n_strain, each.shape[1]).index_add(0, plan.strain, each)
        fitness = self._fitness(total)
        # the product of the single mutants, each predicted alone
        null = torch.ones_like(fitness).scatter_reduce(0, plan.strain, self._fitness(each), "prod")
        return {"fitness": fitness, "interaction": fitness - null}

    def _fitness(self, total: Float[Tensor, "row width"]) -> Float[Tensor, " row"]:
        at_rest: Tensor = self.rho(torch.zeros_like(total[:1]))
        fitness: Tensor = 1.0 + self.rho(total) - (at_rest if len(total) else 0.0)
        return fitness[:, 0]


MODEL = Deepset
