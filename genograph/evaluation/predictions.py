"""What a run predicts for the measured strains of its cohort, and a simulation's true values.

Each head has its own strains: a vector for every pair of a screen would be gigabytes for nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, Int64, Num, Shaped
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from genograph.cohorts import Cohort, Vectors
from genograph.cohorts.ragged import take_strains
from genograph.errors import RunError, SourceError
from genograph.loaders._bounds import DAMAGED_NPZ, check_text, npz
from genograph.prediction import predict
from genograph.run import Prediction, Run

PREDICTIONS = "predictions.safetensors"
HEADS = ("fitness", "expression", "morphology")


class ScalarPrediction(NamedTuple):
    """Predictions of the fitness head for some of a cohort's strains.

    Attributes:
        rows: strain rows of the cohort.
        fitness, fitness_sd: relative to the wild type; s.d. NaN where there is none.
        interaction, interaction_sd: NaN for strains with fewer than two perturbations.
    """

    rows: Int64[np.ndarray, " strain"]
    fitness: Float32[np.ndarray, " strain"]
    fitness_sd: Float32[np.ndarray, " strain"]
    interaction: Float32[np.ndarray, " strain"]
    interaction_sd: Float32[np.ndarray, " strain"]


class VectorPrediction(NamedTuple):
    """Predictions of a vector head for some of a cohort's strains.

    Attributes:
        rows: strain rows of the cohort.
        mean, sd: along the cohort's axis; s.d. NaN where there is none.
    """

    rows: Int64[np.ndarray, " strain"]
    mean: Float32[np.ndarray, "strain axis"]
    sd: Float32[np.ndarray, "strain axis"]


class Predictions(NamedTuple):
    """What a run predicts for a cohort's measured strains; None for heads it does not have."""

    fitness: ScalarPrediction | None
    expression: VectorPrediction | None
    morphology: VectorPrediction | None


class Truth(NamedTuple):
    """Noise-free values of a simulation, rows aligned with the cohort's strains.

    NaN where the simulation does not say; a vector is None where the cohort has none.
    """

    fitness: Float64[np.ndarray, " strain"]
    interaction: Float64[np.ndarray, " strain"]
    expression: Float32[np.ndarray, "strain axis"] | None
    morphology: Float32[np.ndarray, "strain axis"] | None


def predict_measured(run: Run, cohort: Cohort, *, device: str = "auto") -> Predictions:
    """What the run predicts for every strain that the cohort measured, head by head."""
    fitness = None
    if cohort.fitness is not None and "fitness" in run.config.heads:
        rows, found = _predicted(run, cohort, cohort.fitness.strain, "fitness", device)
        nothing = np.full(len(rows), np.nan, np.float32)
        arrays = (found.fitness, found.fitness_sd, found.interaction, found.interaction_sd)
        fitness = ScalarPrediction(rows, *(nothing if a is None else a for a in arrays))
    vectors: list[VectorPrediction | None] = []
    for head, measured in (("expression", cohort.expression), ("morphology", cohort.morphology)):
        if measured is None or head not in run.config.heads:
            vectors.append(None)
            continue
        rows, found = _predicted(run, cohort, measured.strain, head, device)
        mean, sd, names = (
            (found.expression, found.expression_sd, found.expression_names)
            if head == "expression"
            else (found.morphology, found.morphology_sd, found.morphology_names)
        )
        assert mean is not None
        if tuple(names) != measured.names:
            msg = f"{run.folder}: predicts other {head} columns than the cohort has; train again"
            raise RunError(msg)
        vectors.append(
            VectorPrediction(rows, mean, np.full_like(mean, np.nan) if sd is None else sd)
        )
    return Predictions(fitness, *vectors)


def _predicted(
    run: Run, cohort: Cohort, strain: Int64[np.ndarray, " experiment"], head: str, device: str
) -> tuple[Int64[np.ndarray, " strain"], Prediction]:
    rows = np.unique(strain)
    strains = take_strains(cohort.strains, rows)
    found = predict(run, strains, cohort=cohort, device=device, heads=(head,))
    if found.genes_sha256 != cohort.genome.genes_sha256 or found.strain_ids != strains.ids:
        msg = f"{run.folder}: predictions do not follow the cohort's genes and strains"
        raise RunError(msg)
    return rows, found


def save_predictions(predictions: Predictions, cohort: Cohort, path: Path) -> None:
    """Write predictions as safetensors, aside and renamed: arrays `head/field`, and strain ids.

    `head/id` holds the UTF-8 ids one after the other, `head/id_offsets` where each begins.
    """
    arrays: dict[str, Num[np.ndarray, ...]] = {}
    for head, prediction in zip(HEADS, predictions, strict=True):
        if prediction is None:
            continue
        ids = [text.encode() for text in cohort.strains.ids.take(prediction.rows).to_pylist()]
        offsets = np.concatenate([[0], np.cumsum([len(i) for i in ids])]).astype(np.int64)
        arrays[f"{head}/id"] = np.frombuffer(b"".join(ids), dtype=np.uint8)
        arrays[f"{head}/id_offsets"] = offsets
        for name, array in prediction._asdict().items():
            arrays[f"{head}/{name}"] = np.ascontiguousarray(array)
    aside = path.with_name(f".{path.name}.part")
    hashes = {"cohort_sha256": cohort.sha256, "genes_sha256": cohort.genome.genes_sha256}
    save_file(arrays, aside, metadata=hashes)
    aside.replace(path)


def load_predictions(path: Path, cohort: Cohort) -> Predictions:
    """Read what `save_predictions` wrote.

    Raises:
        RunError: missing, damaged, or of another cohort.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            hashes = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        msg = (
            f"{path.parent}: the run has not been evaluated; run: genograph evaluate {path.parent}"
        )
        raise RunError(msg) from None
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        # number types that numpy has not: a TypeError (bfloat16), an AttributeError (float8)
        msg = f"{path}: damaged predictions ({error}); evaluate the run again"
        raise RunError(msg) from error
    if hashes.get("cohort_sha256") != cohort.sha256:
        msg = f"{path}: predictions of another cohort; evaluate the run again"
        raise RunError(msg)
    try:
        fitness = None
        if "fitness/rows" in arrays:
            fitness = ScalarPrediction(*(arrays[f"fitness/{n}"] for n in ScalarPrediction._fields))
            _check_rows(cohort, *fitness)
        vectors: list[VectorPrediction | None] = []
        for head, measured in (
            ("expression", cohort.expression),
            ("morphology", cohort.morphology),
        ):
            found = None
            if f"{head}/rows" in arrays:
                found = VectorPrediction(*(arrays[f"{head}/{n}"] for n in VectorPrediction._fields))
                _check_rows(cohort, *found, along=0 if measured is None else len(measured.names))
            vectors.append(found)
    except (KeyError, ValueError) as error:
        msg = f"{path}: damaged predictions ({error}); evaluate the run again"
        raise RunError(msg) from error
    return Predictions(fitness, *vectors)


def _check_rows(cohort: Cohort, rows: object, *numbers: object, along: int | None = None) -> None:
    """Raise ValueError unless these are strain rows of the cohort and numbers beside them."""
    if (
        not isinstance(rows, np.ndarray)
        or rows.dtype != np.int64
        or rows.ndim != 1
        or (len(rows) and not 0 <= rows.min() <= rows.max() < len(cohort.strains))
    ):
        msg = "rows that the cohort does not have"
        raise ValueError(msg)
    shape = (len(rows),) if along is None else (len(rows), along)
    for values in numbers:
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.shape != shape:
            msg = f"wanted floats of shape {shape}"
            raise ValueError(msg)


def read_truth(path: Path | str, cohort: Cohort) -> Truth:
    """True values of a simulated yeast for a cohort's strains.

    Args:
        path: truth.npz, or the folder that holds it.
        cohort: its strains and axes set the order.

    Raises:
        SourceError: missing, damaged, without the arrays, or of another simulation: it knows less
            than half of the strains.
    """
    path = Path(path)
    path = path / "truth.npz" if path.is_dir() else path
    try:
        with npz(path) as held:
            single = held["single_strain"], held["single_fitness"]
            pair = held["pair_strain"], held["pair_fitness"], held["pair_interaction"]
            vectors = (
                (held["expression_strain"], held["gene"], held["expression"]),
                (held["morphology_strain"], held["morphology_parameter"], held["morphology"]),
            )
        for ids, *numbers in (single, pair):
            _check_aligned([ids], *numbers)
        for ids, names, matrix in vectors:
            _check_aligned([ids, names], matrix)
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise SourceError(msg) from None
    except DAMAGED_NPZ as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path}: holds no true values ({reason:.200}); give the truth of genograph simulate"
        raise SourceError(msg) from error
    n = len(cohort.strains)
    fitness, interaction = np.full(n, np.nan), np.full(n, np.nan)
    for ids, values in (single, pair[:2]):
        rows, at = _matched(cohort.strains.ids, ids)
        fitness[rows] = values[at]
    rows, at = _matched(cohort.strains.ids, pair[0])
    interaction[rows] = pair[2][at]
    n_known, wanted = int(np.isfinite(fitness).sum()), int((cohort.strains.n_perturbed > 0).sum())
    if n_known < wanted / 2:
        msg = (
            f"{path}: knows {n_known} of the cohort's {wanted} strains; it is the truth of another "
            f"simulation"
        )
        raise SourceError(msg)
    found = [
        None if measured is None else _aligned(cohort, measured, *arrays)
        for measured, arrays in zip((cohort.expression, cohort.morphology), vectors, strict=True)
    ]
    return Truth(fitness, interaction, *found)


def _check_aligned(along: Sequence[object], *numbers: object) -> None:
    """Raise ValueError unless these are lists of names and arrays of numbers along them.

    A member of an npz that is no array comes as its bytes.
    """
    shape = []
    for names in along:
        if not isinstance(names, np.ndarray) or names.ndim != 1 or names.dtype.kind != "U":
            msg = "names are no array of strings"
            raise ValueError(msg)
        check_text(names)
        shape.append(len(names))
    for values in numbers:
        if (
            not isinstance(values, np.ndarray)
            or values.dtype.kind not in "fi"
            or values.shape != tuple(shape)
        ):
            msg = f"wanted numbers of shape {tuple(shape)}, as the names beside them"
            raise ValueError(msg)
        # they are kept as 32 bits, where a larger one would become infinite
        if (np.isfinite(values) & (np.abs(values) > np.finfo(np.float32).max)).any():
            msg = "a number is beyond 32 bits"
            raise ValueError(msg)


def _aligned(
    cohort: Cohort,
    measured: Vectors,
    ids: Shaped[np.ndarray, " true"],
    names: Shaped[np.ndarray, " column"],
    values: Num[np.ndarray, "true column"],
) -> Float32[np.ndarray, "strain axis"]:
    out = np.full((len(cohort.strains), len(measured.names)), np.nan, dtype=np.float32)
    rows, at = _matched(cohort.strains.ids, ids)
    columns, where = _matched(pa.array(measured.names), names)
    out[np.ix_(rows, columns)] = values[np.ix_(at, where)]
    return out


def _matched(
    held: pa.StringArray, wanted: Shaped[np.ndarray, " name"]
) -> tuple[Int64[np.ndarray, " match"], Int64[np.ndarray, " match"]]:
    """Rows of `held` that are in `wanted`, and where they are there."""
    place = {str(name): at for at, name in reversed(list(enumerate(wanted)))}
    found = np.array([place.get(name, -1) for name in held.to_pylist()], dtype=np.int64)
    rows = np.flatnonzero(found >= 0)
    return rows, found[rows]
