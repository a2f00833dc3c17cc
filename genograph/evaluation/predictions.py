"""What a run predicts for the measured strains of its cohort, and a simulation's true values.

Each head has its own strains: a vector for every pair of a screen would be gigabytes for nothing.
"""

from collections.abc import Mapping, Sequence
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
from genograph.files import write_file
from genograph.loaders._bounds import DAMAGED_NPZ, check_text, npz
from genograph.prediction import predict
from genograph.run import Predicted, Run
from genograph.schema import graph_schema

PREDICTIONS = "predictions.safetensors"


class MeasuredPrediction(NamedTuple):
    """Predictions of one phenotype for the strains that a cohort measured it of.

    Attributes:
        rows: strain rows of the cohort.
        quantities: what is predicted of them, by name; rows follow `rows`.
    """

    rows: Int64[np.ndarray, " strain"]
    quantities: Mapping[str, Predicted]


Predictions = Mapping[str, MeasuredPrediction]
"""What a run predicts for a cohort's measured strains, by phenotype."""


class Truth(NamedTuple):
    """Noise-free values of a simulation, rows aligned with the cohort's strains.

    NaN where the simulation does not say. `vectors` has the phenotypes that the cohort has.
    """

    fitness: Float64[np.ndarray, " strain"]
    interaction: Float64[np.ndarray, " strain"]
    vectors: Mapping[str, Float32[np.ndarray, "strain axis"]]


def predict_measured(
    run: Run, cohort: Cohort, *, device: str = "auto"
) -> dict[str, MeasuredPrediction]:
    """What the run predicts for every strain that the cohort measured, phenotype by phenotype.

    Each phenotype has its own strains: a vector for every pair of a screen would be gigabytes for
    nothing.
    """
    found = {}
    for phenotype, measured in cohort.measured.items():
        if phenotype not in run.config.model.heads:
            continue
        rows = np.unique(measured.strain)
        strains = take_strains(cohort.strains, rows)
        predicted = predict(run, strains, cohort=cohort, device=device, heads=(phenotype,))
        if isinstance(measured, Vectors) and predicted[phenotype].names != measured.names:
            msg = (
                f"{run.folder}: predicts other {phenotype} columns than the cohort has; train again"
            )
            raise RunError(msg)
        found[phenotype] = MeasuredPrediction(rows, predicted.quantities)
    return found


def save_predictions(predictions: Predictions, cohort: Cohort, path: Path) -> None:
    """Write predictions as safetensors.

    Arrays are `PHENOTYPE/rows`, `PHENOTYPE/QUANTITY` and `PHENOTYPE/QUANTITY_sd`;
    `PHENOTYPE/id` holds the UTF-8 strain ids one after the other, `PHENOTYPE/id_offsets` where each
    begins.

    Raises:
        RunError: the file cannot be written.
    """
    arrays: dict[str, Num[np.ndarray, ...]] = {}
    for phenotype, prediction in predictions.items():
        ids = [text.encode() for text in cohort.strains.ids.take(prediction.rows).to_pylist()]
        offsets = np.concatenate([[0], np.cumsum([len(i) for i in ids])]).astype(np.int64)
        arrays[f"{phenotype}/id"] = np.frombuffer(b"".join(ids), dtype=np.uint8)
        arrays[f"{phenotype}/id_offsets"] = offsets
        arrays[f"{phenotype}/rows"] = prediction.rows
        for name, found in prediction.quantities.items():
            arrays[f"{phenotype}/{name}"] = np.ascontiguousarray(found.mean)
            arrays[f"{phenotype}/{name}_sd"] = np.ascontiguousarray(found.sd)
    hashes = {"cohort_sha256": cohort.sha256, "genes_sha256": cohort.genome.genes_sha256}
    with write_file(path, error=RunError) as draft:
        try:
            save_file(arrays, draft, metadata=hashes)
        except SafetensorError as error:
            # the disk's refusal in the words of the writer
            raise OSError(str(error).splitlines()[0]) from error


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
    out: dict[str, MeasuredPrediction] = {}
    try:
        for phenotype in graph_schema().modelled:
            name = phenotype.name
            if f"{name}/rows" not in arrays:
                continue
            vectors = cohort.vectors.get(name)
            names = None if vectors is None else vectors.names
            quantities = {
                each: Predicted(arrays[f"{name}/{each}"], arrays[f"{name}/{each}_sd"], names)
                for each in phenotype.quantities
            }
            rows = arrays[f"{name}/rows"]
            along = None if not phenotype.axis else len(names or ())
            numbers = [values for found in quantities.values() for values in found[:2]]
            _check_rows(cohort, rows, *numbers, along=along)
            out[name] = MeasuredPrediction(rows, quantities)
    except (KeyError, ValueError) as error:
        msg = f"{path}: damaged predictions ({error}); evaluate the run again"
        raise RunError(msg) from error
    return out


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
            vectors = {}
            for phenotype in graph_schema().modelled:
                name = phenotype.name
                if phenotype.axis:
                    along = "gene" if phenotype.axis == "gene" else f"{name}_parameter"
                    vectors[name] = held[f"{name}_strain"], held[along], held[name]
        for ids, *numbers in (single, pair):
            _check_aligned([ids], *numbers)
        for ids, names, matrix in vectors.values():
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
    aligned = {
        name: _aligned(cohort, measured, *vectors[name])
        for name, measured in cohort.vectors.items()
    }
    return Truth(fitness, interaction, aligned)


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
