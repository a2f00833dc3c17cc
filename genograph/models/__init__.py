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
        RunError: there is none, the message lists the choices; or its file is not as docs/
            add-a-model.md says.
    """
    if name not in model_names():
        msg = f"no model is called {name!r}; choose one of {', '.join(model_names())}"
        raise RunError(msg)
    try:
        module = importlib.import_module(f"genograph.models.{name}")
    except (ImportError, SyntaxError, AttributeError, TypeError, NameError, ValueError) as error:
        place = f"genograph/models/{name}.py"
        msg = f"{place}: cannot be imported: {type(error).__name__}: {error}"
        raise RunError(msg) from error
    model = getattr(module, "MODEL", None)
    _check_model(name, model, f"{module.__file__}")
    checked: type[StrainModel] = module.MODEL
    return checked


def _check_model(name: str, model: object, file: str) -> None:
    """Refuse a file whose MODEL does not fulfil the contract in `base`."""
    if not isinstance(model, type) or not issubclass(model, StrainModel):
        msg = f"{file}: MODEL is {model!r:.60}, wanted the class of the model, a StrainModel"
        raise RunError(msg)
    if missing := sorted(model.__abstractmethods__):
        msg = f"{file}: {model.__name__} does not define {', '.join(missing)}"
        raise RunError(msg)
    config = getattr(model, "Config", None)
    field = getattr(config, "model_fields", {}).get("name")
    if not isinstance(config, type) or not issubclass(config, ModelConfig) or field is None:
        msg = f"{file}: {model.__name__}.Config is {config!r:.60}, wanted a ModelConfig"
        raise RunError(msg)
    if field.default != name:
        msg = (
            f"{file}: the name of {config.__name__} is {field.default!r}, wanted {name!r}, "
            f"the name of the file"
        )
        raise RunError(msg)
