"""Expression of single cells, or of groups of them, from an annotated matrix (h5ad).

Format: https://anndata.readthedocs.io/en/stable/fileformat-prose.html, an HDF5 file with a matrix
of cells x genes (X, or a layer), dense or CSR, and tables of cells (obs) and genes (var). A column
of obs names the strain of each cell: a gene name (its deletion), a strain id, or the control. The
labels of two collections are read too: `GENE+ctrl`, `ctrl+GENE` and `A+B` (GEARS), `A_B` and
`control` (scPerturb). The control's name is no perturbation of a strain, and guides that target
nothing (`non-targeting`) are control cells.

The layer must be log-normalised: x = ln(1 + c s / n) of the count c of a gene in a cell with n
counts and a common scale s, so zero or more and not whole numbers. With m(g) the mean of x over the
control cells,

    by=group   a strain is one experiment, its values mean over its cells of x, minus m(g);
    by=cell    a cell is one experiment, its values x - m(g); control cells are experiments of WT.

Both are natural-log differences from the control (pseudobulk of logs, not the log of a pseudobulk),
so the wild type is 0, as it is in a table of log ratios. The matrix is read in blocks of cells and
is never in memory as a whole; needs the optional package anndata.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from genograph.errors import SourceError
from genograph.loaders import Reading, Source
from genograph.loaders._bounds import check_ratio
from genograph.loaders._ids import check_known, check_rows
from genograph.loaders._strains import find_strain
from genograph.measurements import Axis, Measurement, Study, tables
from genograph.schema import WILD_TYPE, Perturbation, split_strain, strain_id
from genograph.tables import Table

if TYPE_CHECKING:
    import h5py

SOURCE = Source(
    name="anndata",
    title="expression of single cells, or of their groups, relative to control cells",
    format="h5ad (AnnData): cells x genes, log-normalised, dense or CSR; obs names the strains",
    version=2,
    gives=("Study", "Axis", "Strain", "PERTURBS", "Experiment", "TESTS", "FROM_STUDY", "ALONG"),
    needs=("Gene",),
    options={
        "study": ("id of the study", None),
        "strains": ("column of obs that names each cell's strain", None),
        "control": ("what that column calls the control cells", WILD_TYPE),
        "separator": ("joins the genes of a strain; empty: + as in strain ids, or _", ""),
        "by": ("one experiment a group or a cell", "group"),
        "layer": ("layer that is log-normalised; empty: X", ""),
        "genes": ("column of var that names the genes; empty: its index", ""),
        "batch": ("column of obs with the batch, for by=cell; empty: none", ""),
        "min_cells": ("groups of fewer cells are not used", 10),
        "citation": ("full citation of the study", ""),
        "doi": ("DOI of the study", ""),
    },
    citation="format of Virshup et al. (2024) Journal of Open Source Software 9:4371",
    doi="10.21105/joss.04371",
    licence="that of the file that is loaded",
)

UNIT = "difference of mean ln(1 + normalised count) from control cells"
_BLOCK = 2_000
_BLOCK_VALUES = 32 << 20
_DAMAGE = (
    *(OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError),
    *(NotImplementedError, OverflowError),
)
"""What the readers of HDF5 and of its tables raise on files that are not what they say."""


@dataclass(frozen=True)
class _Cells:
    """What obs and var say.

    Attributes:
        label: of each cell, a number into `strain`; -1 where the cell is not used.
        strain: the strains, each once; the first, (), is the control.
        column: columns of the matrix that are kept, ascending.
        genes: of those columns.
        batch: of each cell, or empty.
    """

    label: NDArray[Any]
    strain: list[tuple[Perturbation, ...]]
    column: NDArray[Any]
    genes: tuple[str, ...]
    batch: list[str]


def read(
    path: Path,
    reading: Reading,
    *,
    study: str,
    strains: str,
    control: str,
    separator: str,
    by: str,
    layer: str,
    genes: str,
    batch: str,
    min_cells: int,
    citation: str,
    doi: str,
) -> Iterator[Table]:
    """Yield the tables; cells and groups that cannot be used are counted, in cells."""
    if by not in ("group", "cell"):
        msg = f"loader {SOURCE.name}: option by is {by!r}, wanted group or cell"
        raise SourceError(msg)
    try:
        import anndata.io
        import h5py
    except ModuleNotFoundError as error:
        msg = f"{path}: needs the package {error.name}; pip install 'genograph[anndata]'"
        raise SourceError(msg) from None
    if not path.is_file():
        msg = f"{path}: no such file"
        raise SourceError(msg)
    try:
        # AnnData's own backed mode reads layers whole, so blocks are taken from the file itself
        with h5py.File(path, "r") as file:
            _check_size(path, file)
            obs = anndata.io.read_elem(file["obs"])
            var = anndata.io.read_elem(file["var"])
            matrix = _matrix(path, file, layer, (len(obs), len(var)))
            cells = _cells(
                path, reading, obs, var, strains, control, separator, genes, batch, min_cells
            )
            means = _means(path, matrix, cells)
            axis = Axis(study, "expression", UNIT, cells.genes)
            found = (
                _groups(cells, means, axis)
                if by == "group"
                else _single_cells(matrix, cells, means, axis)
            )
            yield from tables(
                found, [Study(study, citation, doi)], source=str(path), note=reading.note
            )
    except _DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path}: cannot be read as h5ad ({reason:.200}); write it again with anndata"
        raise SourceError(msg) from error


def _check_size(path: Path, file: "h5py.File") -> None:
    """Refuse a file whose arrays say they hold far more than it stores.

    A dense matrix is let through: it is read a block at a time.
    """
    import h5py

    def check(name: str, held: "h5py.Dataset | h5py.Group") -> None:
        if isinstance(held, h5py.Dataset) and held.ndim != 2:
            check_ratio(path, held.id.get_storage_size(), held.nbytes, name)

    file.visititems(check)


class _Matrix:
    """Rows of a dense or CSR matrix in an HDF5 file, read in blocks."""

    def __init__(self, path: Path, held: "h5py.Dataset | h5py.Group", shape: tuple[int, int]):  # noqa: ANN204
        import h5py

        self._path, self._held = path, held
        self._sparse = not isinstance(held, h5py.Dataset)
        kind = str(held.attrs.get("encoding-type", "")) if self._sparse else "array"
        if kind not in ("array", "csr_matrix"):
            msg = (
                f"{path}: the matrix is stored as {kind or 'something unknown'}, wanted dense or "
                f"CSR; convert it with adata.X = adata.X.tocsr()"
            )
            raise SourceError(msg)
        found = tuple(held.attrs["shape"]) if self._sparse else held.shape
        if tuple(int(n) for n in found) != shape:
            msg = f"{path}: the matrix is {found}, obs and var say {shape}; write it again"
            raise SourceError(msg)
        self._n_row, self._n_column = shape
        if self._sparse:
            self._starts = np.asarray(held["indptr"][:], dtype=np.int64)
            if len(self._starts) != self._n_row + 1 or self._starts[0] < 0:
                msg = "the sparse matrix has another number of rows than obs"
                raise ValueError(msg)

    def blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """The 0-based first row and the values, float64, of each block of rows."""
        size = max(1, min(_BLOCK, _BLOCK_VALUES // max(1, self._n_column)))
        for start in range(0, self._n_row, size):
            stop = min(start + size, self._n_row)
            block = self._dense(start, stop)
            if not np.isfinite(block).all() or (block < 0.0).any():
                row, column = np.argwhere(~np.isfinite(block) | (block < 0.0))[0].tolist()
                wanted = "finite numbers >= 0, as a log-normalised layer has"
                where = f"cell {start + row + 1}, gene {column + 1}"
                raise SourceError.at(self._path, None, where, block[row, column], wanted)
            yield start, block

    def _dense(self, start: int, stop: int) -> NDArray[Any]:
        if not self._sparse:
            return np.asarray(self._held[start:stop], dtype=np.float64)
        starts = self._starts[start : stop + 1]
        low, high = int(starts[0]), int(starts[-1])
        column = np.asarray(self._held["indices"][low:high], dtype=np.int64)
        values = np.asarray(self._held["data"][low:high], dtype=np.float64)
        outside = len(column) and (column.min() < 0 or column.max() >= self._n_column)
        # what scipy does not check would be read from outside the arrays
        if outside or (np.diff(starts) < 0).any() or not len(column) == len(values) == high - low:
            msg = "the sparse matrix does not fit obs and var"
            raise ValueError(msg)
        shape = (stop - start, self._n_column)
        out: NDArray[Any] = csr_matrix((values, column, starts - low), shape).toarray()
        return out


def _matrix(path: Path, file: "h5py.File", layer: str, shape: tuple[int, int]) -> _Matrix:
    if not layer:
        if "X" not in file:
            msg = f"{path}: has no X; name a layer by the option layer"
            raise SourceError(msg)
        return _Matrix(path, file["X"], shape)
    known = sorted(file["layers"]) if "layers" in file else []
    if layer not in known:
        msg = f"{path}: has no layer {layer}; its layers: {', '.join(known) or 'none'}"
        raise SourceError(msg)
    return _Matrix(path, file["layers"][layer], shape)


def _cells(
    path: Path,
    reading: Reading,
    obs: Any,  # noqa: ANN401 - a pandas.DataFrame, whose columns are the file's
    var: Any,  # noqa: ANN401
    strains: str,
    control: str,
    separator: str,
    genes: str,
    batch: str,
    min_cells: int,
) -> _Cells:
    for table, option, column in (
        (obs, "strains", strains),
        (var, "genes", genes),
        (obs, "batch", batch),
    ):
        if column and column not in table.columns:
            known = ", ".join(map(str, table.columns)) or "none"
            msg = f"{path}: option {option}={column} is no column; there are {known}"
            raise SourceError(msg)
    reading.rows_read += len(obs)
    names = ["" if name is None or name != name else str(name).strip() for name in obs[strains]]
    count = Counter(names)
    if n_bare := count.pop("", 0):
        reading.reject("no strain", None, f"cells without {strains}", n_bare)
    controls = _find_controls(path, sorted(count), strains, control, reading, count)
    spelled = {
        name: () if name in controls else _read_label(name, controls, separator, reading, n_cell)
        for name, n_cell in sorted(count.items())
    }
    held: Counter[frozenset[Perturbation]] = Counter()
    for name, strain in spelled.items():
        if strain is not None:
            held[frozenset(strain)] += count[name]
    # two labels of one strain, such as A+ctrl and ctrl+A, are one group
    groups: dict[frozenset[Perturbation], int] = {frozenset(): 0}
    strain_of: list[tuple[Perturbation, ...]] = [()]
    number = {name: -1 for name in count}
    few: Counter[str] = Counter()
    for name, strain in spelled.items():
        if strain is None:
            continue
        key = frozenset(strain)
        if strain and held[key] < min_cells:
            few[strain_id(strain)] += count[name]
            continue
        if key not in groups:
            groups[key] = len(groups)
            strain_of.append(strain)
        number[name] = groups[key]
    for name, n_cell in sorted(few.items()):
        reading.reject("too few cells of a strain", None, f"{name}: {n_cell}", n_cell)
    label = np.array([number.get(name, -1) for name in names], dtype=np.int64)
    if len(groups) == 1:
        check_rows(path, reading)
        msg = f"{path}: no strain of loaded genes but the control; wanted at least one"
        raise SourceError(msg)
    kept: dict[str, int] = {}
    unknown: list[str] = []
    called = var[genes] if genes else var.index
    for place, name in enumerate(called):
        gene = reading.genes.resolve(str(name))
        if gene is None:
            unknown.append(str(name))
            reading.note("column of an unknown gene left out", None, str(name))
        elif gene in kept:
            reading.note("column of a gene that stands before left out", None, str(name))
        else:
            kept[gene] = place
    check_known(path, genes or "index of var", unknown, len(kept), reading.genes)
    if not kept:
        msg = f"{path}: no column is a loaded gene; wanted at least one (option genes)"
        raise SourceError(msg)
    places = np.array(list(kept.values()), dtype=np.int64)
    batches = [str(b) for b in obs[batch]] if batch else []
    if bad := next((b for b in batches if not b.isprintable()), None):
        wanted = "a name without control characters"
        raise SourceError.at(path, None, batch, repr(bad), wanted)
    return _Cells(label, strain_of, places, tuple(kept), batches)


_NO_TARGET = re.compile(
    r"(non[-_ ]?targeting|scrambled?|safe[-_ ]?harbou?r)([-_ ]?\w+)?", re.IGNORECASE
)
"""Names of guides that target nothing, with or without a number."""


def _find_controls(
    path: Path,
    labels: list[str],
    strains: str,
    control: str,
    reading: Reading,
    count: Mapping[str, int],
) -> set[str]:
    """The labels of control cells: the one that is named, and guides without a target."""
    if control not in labels:
        shown = ", ".join(labels[:5])
        msg = f"{path}: no cell has {strains} = {control}, the control; there are {shown} ..."
        raise SourceError(msg)
    controls = {control}
    for label in labels:
        if label != control and _NO_TARGET.fullmatch(label):
            reading.note("guide without a target, a control", None, label, count[label])
            controls.add(label)
    return controls


def _read_label(
    label: str, controls: Collection[str], separator: str, reading: Reading, n_cell: int
) -> tuple[Perturbation, ...] | None:
    """The strain of a label, () for the control's; None where its cells are rejected."""
    parts = [p.strip() for p in label.split(separator)] if separator else split_strain(label)
    if not separator and len(parts) == 1 and reading.genes.resolve(label) is None:
        below = label.split("_")
        if all(p in controls or reading.genes.resolve(p) for p in below):
            reading.note("strain of genes joined by _", None, label, n_cell)
            parts = below
    targets = [p for p in parts if p not in controls and not _NO_TARGET.fullmatch(p)]
    if len(targets) < len(parts):
        reading.note("control within a strain's name left out", None, label, n_cell)
    if not targets:
        return ()
    strain = find_strain("+".join(targets), reading, None, count=n_cell)
    if strain == ():
        # WT beside a control of another name would be two wild types
        reading.reject("wild type that is not the control", None, label, n_cell)
        return None
    return strain


def _means(path: Path, matrix: _Matrix, cells: _Cells) -> NDArray[Any]:
    """The mean of every strain's cells, strain x gene."""
    total = np.zeros((len(cells.strain), len(cells.genes)))
    fraction = False
    for start, block in matrix.blocks():
        values = block[:, cells.column]
        fraction = fraction or bool((block % 1.0 != 0.0).any())
        label = cells.label[start : start + len(block)]
        used = np.flatnonzero(label >= 0)
        places = (np.ones(len(used)), (label[used], used))
        total += csr_matrix(places, (len(cells.strain), len(block))) @ values
    if not fraction:
        msg = f"{path}: all values are whole numbers, so they are counts; log-normalise them first"
        raise SourceError(msg)
    count = np.bincount(cells.label[cells.label >= 0], minlength=len(cells.strain))
    mean: NDArray[Any] = total / count[:, None]
    return mean


def _groups(cells: _Cells, means: NDArray[Any], axis: Axis) -> Iterator[Measurement]:
    """Yield one experiment a strain; the control has none, because it is 0 by definition."""
    for i, strain in enumerate(cells.strain):
        if strain:
            values = (means[i] - means[0]).astype(np.float32)
            yield Measurement(
                *(axis.study, "expression", axis.unit, strain),
                values=values,
                axis=axis,
            )


def _single_cells(
    matrix: _Matrix, cells: _Cells, means: NDArray[Any], axis: Axis
) -> Iterator[Measurement]:
    """One experiment a cell, those of the control too."""
    for start, block in matrix.blocks():
        values = (block[:, cells.column] - means[0]).astype(np.float32)
        for i, row in enumerate(values):
            label = int(cells.label[start + i])
            if label >= 0:
                yield Measurement(
                    *(axis.study, "expression", axis.unit, cells.strain[label]),
                    values=row,
                    axis=axis,
                    batch=cells.batch[start + i] if cells.batch else "",
                )
