"""Configuration of the genome model and of its training; frozen, unknown keys refused."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Head = Literal["fitness", "expression", "morphology"]
HEADS: tuple[Head, ...] = ("fitness", "expression", "morphology")


class ModelConfig(BaseModel):
    """The shape of the genome model; every field has a default that serves 600 and 6,600 genes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    heads: tuple[Head, ...] = HEADS
    """Phenotypes to train jointly; those the cohort has no experiments of are left out."""
    singles: Literal["measured", "hidden"] = "measured"
    """Whether measured single-mutant fitness is an input for strains with two perturbations."""
    growth_from: Literal["predicted", "measured"] = "measured"
    """The fitness that expression and morphology follow: predicted, or measured where the cohort
    has it, the strain's own included; another phenotype, so no leak, but the strain was grown."""
    width: int = Field(default=32, ge=4, le=1024)
    """Width of a node's state."""
    layers: int = Field(default=2, ge=1, le=8)
    """Rounds of messages."""
    degree: Literal["wild-type", "exact"] = "wild-type"
    """What a node's mean of messages is over once a source is perturbed: as many as in the wild
    type, or those that still send, by dose."""
    change: int = Field(default=12, ge=1, le=256)
    """Width of the change z of a node by one perturbation."""
    hidden: int = Field(default=48, ge=4, le=1024)
    """Hidden units of the readouts."""
    pooled: int = Field(default=16, ge=0, le=256)
    """Width of the vector that the meetings of a strain add up to."""
    growth: int = Field(default=6, ge=1, le=64)
    """Rank of the genome-wide expression term u(strain) v(gene)."""
    projected: int = Field(default=64, ge=1, le=1024)
    """Principal components of the CRE embeddings that enter the network."""
    gene_identity: float = Field(default=0.3, ge=0.0, le=10.0)
    """Scale of a learned, decayed vector of each perturbed gene in what it does to shared nodes;
    0 leaves it out. A gene that training never perturbs has none."""
    gene_mark: float = Field(default=0.0, ge=0.0, le=1.0)
    """Scale of a learned vector that marks each gene for its neighbours, random at first; 0 leaves
    it out. It helps where pairs are plenty and costs singles of unseen genes."""
    node_identity: float = Field(default=0.3, ge=0.0, le=1.0)
    """Scale of a learned vector for each term and complex."""
    largest_term: float = Field(default=1.0, gt=0.0, le=1.0)
    """Terms with more than this share of all genes are no meeting place of perturbations."""
    fitness_floor: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Smallest single-mutant fitness whose logarithm is taken; smaller ones count as this."""

    @field_validator("heads")
    @classmethod
    def _distinct(cls, heads: tuple[Head, ...]) -> tuple[Head, ...]:
        if not heads or len(set(heads)) != len(heads):
            msg = f"heads are one or more of {', '.join(HEADS)}, each once"
            raise ValueError(msg)
        return tuple(h for h in HEADS if h in heads)


class TrainConfig(ModelConfig):
    """Everything a training depends on besides its cohort."""

    seed: int = Field(default=0, ge=0)
    """Seed of the first member; member k has seed + k."""
    members: int = Field(default=3, ge=1, le=64)
    """Ensemble size; the predicted s.d. is taken over members."""
    epochs: int = Field(default=20, ge=1)
    """Longest training, in epochs."""
    steps_per_epoch: int = Field(default=0, ge=0)
    """Steps an epoch; 0: one pass over the training pairs, within 10 to 60 steps."""
    minutes: float | None = Field(default=None, gt=0)
    """Longest training of all members together, in minutes; None: no limit."""
    pairs: int = Field(default=512, ge=1)
    """Strains with two or more perturbations in a batch."""
    pair_weight: float = Field(default=4.0, gt=0)
    """Weight of the pairs' loss; that of every other task is 1."""
    single_strains: int = Field(default=128, ge=1)
    """Single mutants with a fitness in a batch."""
    expression_strains: int = Field(default=8, ge=1)
    """Strains with an expression profile in a batch."""
    morphology_strains: int = Field(default=64, ge=1)
    """Strains with morphology in a batch."""
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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto is CUDA if there is one."""
    engine: Literal["auto", "delta", "dgl", "shared"] = "auto"
    """How the network runs over strains; every engine gives the same numbers."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0: one below 4,000 nodes, whose operations are too small to share, else all."""
    precision: Literal["32-true", "bf16-mixed", "64-true"] = "32-true"
    """Arithmetic, in Lightning Fabric's words."""
