"""Pairs: columns of double-mutant measurements, and the tables of the graph that they become.

The fast way of `rows.tables` for screens of millions of pairs: the same rows with the same
ids, without an object a measurement. Memory grows by 16 bytes a pair.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from genograph.errors import SourceError
from genograph.measurements.plausible import Note, Outliers
from genograph.measurements.rows import RELATIVE, Study
from genograph.schema import Perturbation
from genograph.tables import Table, make_mark

Column = NDArray[Any]


class Pairs(NamedTuple):
    """Measurements of double mutants, one row each; NaN where the source does not say.

    Attributes:
        first: code of the query's perturbation, as `PairTables.code` gives it.
        second: code of the array's.
        line: 1-based line of the source, for messages.
        derived: the value follows from the interaction and the singles, where there is a value.
        environment: id of the condition, the same for all rows; empty where the source has none.
    """

    first: Column
    second: Column
    line: Column
    value: Column
    sd: Column
    p: Column
    interaction: Column
    interaction_sd: Column
    derived: bool = False
    environment: str = ""


class PairTables:
    """Turns the pairs of one study into tables; no two rows have the same key."""

    def __init__(self, study: Study, *, source: str, note: Note) -> None:
        """Begin with nothing seen; `source` is for messages.

        Numbers far outside of what they can be are told to `note`, the loader's `Reading.note`.
        """
        self._study = study
        self._outliers = Outliers(note)
        self._source = source
        self._codes: dict[Perturbation, int] = {}
        self._places: list[str] = []
        self._told = False
        self._mark = make_mark()
        self._strains = Seen()
        self._experiments = Seen()
        self._times: dict[int, int] = {}

    def code(self, perturbation: Perturbation) -> int:
        """The number that stands for a perturbation in Pairs."""
        return self._codes.setdefault(perturbation, len(self._codes))

    def tables(self, pairs: Pairs) -> Iterator[Table]:
        """Yield tables of some pairs; nodes before their relationships.

        Raises:
            SourceError: a pair of a perturbation with itself.
            SchemaError: a value is outside the limits of the schema.
        """
        same = np.flatnonzero(pairs.first == pairs.second)
        if len(same):
            line = int(pairs.line[same[0]])
            got = "the same perturbation twice"
            raise SourceError.at(self._source, line, "strain", got, "each once")
        if not self._told:
            self._told = True
            words = {name: [word or None] for name, word in self._study._asdict().items()}
            yield Table.of("Study", words, source=self._source)
        if pairs.environment and pairs.environment not in self._places:
            self._places.append(pairs.environment)
            place = {"id": [pairs.environment], "name": [pairs.environment]}
            yield Table.of("Environment", place, source=self._source)
        listed = list(self._codes)
        names = [str(p) for p in listed]
        rank = np.empty(len(names), dtype=np.int64)
        rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        swap = rank[pairs.first] > rank[pairs.second]
        low = np.where(swap, pairs.second, pairs.first)
        high = np.where(swap, pairs.first, pairs.second)
        spelled = pa.array(names, pa.string())
        strains = pc.binary_join_element_wise(
            spelled.take(pa.array(low)), spelled.take(pa.array(high)), "+"
        )
        new = self._strains.new(low << 32 | high)
        if len(new):
            yield from self._strain_tables(strains.take(pa.array(new)), low[new], high[new], listed)
        ids = self._ids(pairs, spelled)
        self._outliers.check_numbers(
            "fitness",
            RELATIVE,
            {n: getattr(pairs, n) for n in ("value", "sd", "interaction", "interaction_sd")},
            lambda row: int(pairs.line[row]),
            lambda row: strains[row].as_py(),
        )
        yield _experiments(pairs, ids, self._source, self._mark)
        yield self._link("TESTS", ids, strains)
        yield self._link("FROM_STUDY", ids, _constant(self._study.id, len(ids)))
        if pairs.environment:
            yield self._link("IN_ENVIRONMENT", ids, _constant(pairs.environment, len(ids)))

    def _strain_tables(
        self, ids: pa.StringArray, low: Column, high: Column, listed: list[Perturbation]
    ) -> Iterator[Table]:
        counts = pa.array(np.full(len(ids), 2))
        rows = pa.table({"id": ids, "n_perturbed": counts})
        yield Table("Strain", rows, self._source, own=self._mark)
        codes = np.stack([low, high], axis=1).reshape(-1)
        owner = np.repeat(np.arange(len(ids)), 2)
        columns = {"from_id": ids.take(pa.array(owner))}
        for name, field in (("to_id", "gene_id"), ("kind",) * 2, ("allele",) * 2, ("dose",) * 2):
            values = pa.array([getattr(p, field) for p in listed])
            columns[name] = values.take(pa.array(codes))
        yield Table("PERTURBS", pa.table(columns), self._source, own=self._mark)

    def _ids(self, pairs: Pairs, spelled: pa.StringArray) -> pa.StringArray:
        """The ids of experiments: study:fitness:QUERYxARRAY, then @environment and #number."""
        prefixed = pc.binary_join_element_wise(f"{self._study.id}:fitness:", spelled, "")
        ids = pc.binary_join_element_wise(
            prefixed.take(pa.array(pairs.first)), spelled.take(pa.array(pairs.second)), "x"
        )
        place = 0
        if pairs.environment:
            place = 1 + self._places.index(pairs.environment)
            ids = pc.binary_join_element_wise(ids, f"@{pairs.environment}", "")
        keys = place << 56 | pairs.first.astype(np.int64) << 28 | pairs.second
        repeated = np.ones(len(keys), dtype=bool)
        repeated[self._experiments.new(keys)] = False
        again = np.flatnonzero(repeated)
        if not len(again):
            return ids
        out = ids.to_pylist()
        for row in again.tolist():
            times = self._times.get(int(keys[row]), 1) + 1
            self._times[int(keys[row])] = times
            out[row] = f"{out[row]}#{times}"
        return pa.array(out, pa.string())

    def _link(self, type: str, ids: pa.StringArray, ends: pa.Array) -> Table:
        # the ids have been checked as those of experiments
        rows = pa.table({"from_id": ids, "to_id": ends})
        return Table.again(type, rows, self._source, own=self._mark)


class Seen:
    """A set of 64-bit numbers, kept as sorted runs of doubling length."""

    def __init__(self) -> None:
        """Begin empty."""
        self._runs: list[Column] = []

    def new(self, numbers: Column) -> Column:
        """Add numbers; return the rows, ascending, where a number occurs for the first time."""
        distinct, first = np.unique(numbers, return_index=True)
        fresh = np.ones(len(distinct), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            fresh &= run[at] != distinct
        if fresh.any():
            self._runs.append(distinct[fresh])
        while len(self._runs) > 1 and len(self._runs[-1]) * 2 > len(self._runs[-2]):
            last, before = self._runs.pop(), self._runs.pop()
            # both are sorted: a stable sort merges them in one pass
            self._runs.append(np.sort(np.concatenate([before, last]), kind="stable"))
        rows: Column = np.sort(first[fresh])
        return rows


def _constant(word: str, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), [word]).cast(pa.string())


def _experiments(pairs: Pairs, ids: pa.StringArray, source: str, mark: int) -> Table:
    """The Experiment rows; columns that no row fills are left out."""
    n = len(ids)
    columns = {
        "id": ids,
        "phenotype": _constant("fitness", n),
        "unit": _constant(RELATIVE, n),
    }
    for name in ("value", "sd", "p", "interaction", "interaction_sd"):
        numbers = getattr(pairs, name)
        missing = np.isnan(numbers)
        if not missing.all():
            columns[name] = pa.array(numbers, mask=missing)
    if pairs.derived and "value" in columns:
        columns["derived"] = pc.if_else(pc.is_valid(columns["value"]), True, None)
    return Table("Experiment", pa.table(columns), source, own=mark)
