"""Models: one file a model, found by its name; `base` is the contract that each fulfils."""

import importlib
import pkgutil

from genograph.errors import RunError
from genograph.models.base import ModelConfig, StrainModel

__all__ = ["ModelConfig", "StrainModel", "find_model", "model_names"]


def model_names() -> tuple[str, ...]:
    """Every model, by the file it stands in; sorted."""
    files = {module.name for module in pkgutil.iter_modules(__path__)}
    return tuple(sorted(name for name in files - {"base"} if not name.startswith("_")))


def find_model(name: str) -> type[StrainModel]:
    """The model of this name.

    Raises:
        RunError: there is none; the message lists the choices.
    """
    if name not in model_names():
        msg = f"no model is called {name}; choose one of {', '.join(model_names())}"
        raise RunError(msg)
    model: type[StrainModel] = importlib.import_module(f"genograph.models.{name}").MODEL
    return model
