"""Training: fits a model to the experiments of a cohort, member by member, and writes a run."""

from genograph.training.ensemble import train

__all__ = ["train"]
