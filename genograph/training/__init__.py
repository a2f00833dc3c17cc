"""Training: fits a model to the experiments of a cohort, member by member, and writes a run."""

from genograph.training.ensemble import TrainConfig, read_config, train

__all__ = ["TrainConfig", "read_config", "train"]
