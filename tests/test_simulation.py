"""The simulated yeast: formats, statistics, and a cell whose truth can be worked out by hand."""

import gzip
import re
import tomllib
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import obonet
import openpyxl
import pytest
from scipy.special import ndtr

from genograph.database.ingest import build
from genograph.errors import SourceError
from genograph.simulation import simulate
from genograph.simulation.architecture import (
    ISOZYME,
    SINGLE,
    Architecture,
    draw_architecture,
    growth,
    growth_by_changes,
)
from genograph.simulation.regulation import FLOOR, STRENGTH, Regulation
from genograph.store import open_store

BASES = "ACGT"
COMPLEMENT = str.maketrans("ACGT", "TGCA")
CODE = dict(
    zip(
        (a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG"),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
        strict=True,
    )
)


class Yeast(NamedTuple):
    folder: object
    summary: object
    truth: dict


def read(path):
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return text.decode().splitlines()


def simulated(folder, **options):
    summary = simulate(folder, **options)
    with np.load(folder / "truth" / "truth.npz") as file:
        return Yeast(folder, summary, {name: file[name] for name in file.files})


@pytest.fixture(scope="module")
def yeast(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("yeast") / "yeast", genes=600, seed=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("small") / "yeast", genes=120, seed=5)


@pytest.fixture(scope="module")
def chromosomes(yeast):
    out = {}
    for line in read(yeast.folder / "genome.fa.gz"):
        if line.startswith(">"):
            out[line[1:]] = []
            here = out[line[1:]]
        else:
            here.append(line)
    return {name: "".join(lines) for name, lines in out.items()}


@pytest.fixture(scope="module")
def features(yeast):
    rows = [line.split("\t") for line in read(yeast.folder / "SGD_features.tab")]
    assert {len(row) for row in rows} == {16}
    return rows


def stretch(chromosomes, row, before=0, after=0):
    """Coding-strand letters of a features row, with flanks, from the FASTA."""
    letters = chromosomes[list(chromosomes)[int(row[8]) - 1]]
    start, stop = int(row[9]), int(row[10])
    if row[11] == "W":
        return letters[start - 1 - before : stop + after]
    return letters[stop - 1 - after : start + before].translate(COMPLEMENT)[::-1]


def coding(chromosomes, features):
    """Spliced coding sequence by systematic name, from the CDS rows in transcript order."""
    out = {}
    for row in features:
        if row[1] == "CDS":
            out[row[6]] = out.get(row[6], "") + stretch(chromosomes, row)
    return out


def protein(sequence):
    return "".join(CODE[sequence[i : i + 3]] for i in range(0, len(sequence), 3))


# ------------------------------------------------------------------ the cell


def cell(**changes):
    """Two pathways of one system: steps of genes (0), (1), (2 or 3 alike) and (4), (5)."""
    parts = {
        "n_gene": 7,
        "regulator": np.array([6]),
        "member_gene": np.array([0, 1, 2, 3, 4, 5]),
        "member_step": np.array([0, 1, 2, 2, 3, 4]),
        "member_weight": np.array([1.0, 1.0, 0.5, 0.5, 1.0, 1.0]),
        "step_kind": np.array([SINGLE, SINGLE, ISOZYME, SINGLE, SINGLE]),
        "step_leak": np.array([0.1, 0.1, 0.1, 0.1, 0.1]),
        "step_control": np.array([0.25, 0.25, 0.5, 0.5, 0.5]),
        "step_pathway": np.array([0, 0, 0, 1, 1]),
        "pathway_system": np.array([0, 0]),
        "buffered": np.array([True]),
        "half_flux": np.array([0.2]),
        "importance": np.array([0.8]),
        "own_effect": np.zeros(7),
    }
    return Architecture(**{**parts, **changes})


def without(*genes, n=7):
    activity = np.ones((1, n))
    activity[0, list(genes)] = 0.0
    return activity


def interaction(model, a, b):
    one, two, both = (growth(model, without(*g)).fitness[0] for g in ((a,), (b,), (a, b)))
    return both - one * two


def test_the_wild_type_has_fitness_and_fluxes_of_exactly_one():
    grown = growth(cell(), without())
    assert grown.fitness[0] == 1.0
    assert (grown.flux == 1.0).all()


def test_a_blocked_step_gives_the_flux_and_fitness_worked_out_by_hand():
    grown = growth(cell(), without(0))
    # step 0 keeps its leak of .1: 1 / (.25 / .1 + .25 + .5)
    flux = 1 / 3.25
    assert grown.flux[0] == pytest.approx([flux, 1.0])
    total = (flux + 1) / 2
    output = total**2 / (total**2 + 0.04) * 1.04
    assert grown.fitness[0] == pytest.approx(1 - 0.8 * (1 - output))


def test_isozymes_share_a_step_and_the_loss_of_both_blocks_it():
    one, both = (growth(cell(), without(*g)).flux[0, 0] for g in ((2,), (2, 3)))
    assert one == pytest.approx(1 / (0.5 + 0.5 / 0.55))
    assert both == pytest.approx(1 / (0.5 + 0.5 / 0.1))


def test_sister_pathways_give_negative_interactions_and_serial_ones_positive():
    assert interaction(cell(), 0, 4) < -0.1
    serial = cell(buffered=np.array([False]), step_leak=np.full(5, 0.01))
    assert interaction(serial, 0, 1) > 0.05  # masking: the pathway is blocked already
    assert interaction(serial, 0, 4) > 0.05


def test_genes_of_different_systems_do_not_interact():
    two = cell(
        pathway_system=np.array([0, 0, 1, 1]),
        member_gene=np.array([0, 1, 2, 3]),
        member_step=np.array([0, 1, 2, 3]),
        member_weight=np.ones(4),
        step_kind=np.zeros(4, dtype=int),
        step_leak=np.full(4, 0.1),
        step_control=np.ones(4),
        step_pathway=np.arange(4),
        buffered=np.array([True, False]),
        half_flux=np.array([0.2, 0.3]),
        importance=np.array([0.5, 0.6]),
    )
    assert abs(interaction(two, 0, 2)) < 1e-12
    assert interaction(two, 0, 1) < -0.1


def test_growth_from_the_changes_alone_equals_growth_of_the_whole_cell():
    rng = np.random.default_rng(3)
    model = draw_architecture(rng, 200)
    gene = np.array([rng.choice(200, 2, replace=False) for _ in range(300)])
    activity = rng.choice([0.0, 0.4, 1.5], gene.shape)
    whole = np.ones((300, 200))
    whole[np.arange(300)[:, None], gene] = activity
    strain = np.repeat(np.arange(300), 2)
    quick = growth_by_changes(model, 300, strain, gene.ravel(), activity.ravel())
    slow = growth(model, whole)
    assert np.abs(quick.fitness - slow.fitness).max() < 1e-12
    assert np.abs(quick.flux - slow.flux).max() < 1e-12


def test_the_cascade_passes_a_deletion_on_with_the_sign_of_every_factor():
    weight = np.zeros((4, 2))
    weight[1, 0] = 0.8  # gene 1 is factor 1, activated by factor 0 (gene 0)
    weight[2, 1] = -1.0  # repressed by factor 1
    weight[3, 0] = 1.0
    model = Regulation(
        np.array([0, 1]), np.array([1.0, -1.0]), np.zeros((2, 12, 4)), weight, np.array([0])
    )
    change = model.response(np.array([[1.0, 1.0], [0.0, 1.0], [2.0, 1.0]]))
    assert (change[0] == 0).all()
    first = 3 * np.tanh(0.6 * -0.8 / 3)
    assert change[1, 1] == pytest.approx(first, abs=1e-6)
    assert change[1, 2] == pytest.approx(3 * np.tanh((1 - 2**first) / 3), abs=1e-6)
    assert change[1, 3] == pytest.approx(3 * np.tanh(-1 / 3))
    assert change[2, 3] == pytest.approx(3 * np.tanh(1 / 3))
    assert change[2, 2] < 0 < change[2, 1]


# ------------------------------------------------------------------ statistics


@pytest.mark.parametrize("seed", [0, 1])
def test_the_statistics_are_those_of_yeast(seed, yeast, tmp_path):
    if seed:
        yeast = simulated(tmp_path / "yeast", genes=600, seed=seed)
    s, truth = yeast.summary, yeast.truth
    assert 0.20 <= s.sick_share <= 0.30
    assert abs(s.double_mean - 0.90) <= 0.04
    assert abs(s.double_sd - 0.17) <= 0.04
    assert 0.03 <= s.negative_share <= 0.05
    assert 0.01 <= s.positive_share <= 0.03
    assert 18_000 <= s.pairs <= 22_000
    assert 120 <= s.expression_strains <= 150
    # the summary says what the truth file holds
    assert s.negative_share == pytest.approx((truth["pair_interaction"] < -0.08).mean(), abs=1e-4)
    assert s.double_sd == pytest.approx(truth["pair_fitness"].std(), abs=1e-4)
    single = dict(zip(truth["single_strain"], truth["single_fitness"], strict=True))
    deletions = np.array([v for k, v in single.items() if "(" not in k])
    assert s.sick_share == pytest.approx((deletions < 0.95).mean(), abs=1e-4)
    assert s.singles == len(single)
    assert s.morphology_strains == len(truth["morphology"])


def test_negative_interactions_lie_between_sisters_and_positive_ones_within_systems(yeast):
    t = yeast.truth
    row = {name: i for i, name in enumerate(t["gene"])}
    systems = {i: set() for i in row.values()}
    for gene, step in zip(t["member_gene"], t["member_step"], strict=True):
        systems[gene].add(t["pathway_system"][t["step_pathway"][step]])
    regulators = set(t["factor_gene"].tolist())
    value = t["pair_interaction"]
    strong = {"shared": 0, "regulator": 0, "none": 0}
    pairs = zip(t["pair_query"], t["pair_array"], value, strict=True)
    for query, array, epsilon in pairs:
        a, b = (row[name.split("_")[0]] for name in (query, array))
        kind = "shared" if systems[a] & systems[b] else "none"
        if kind == "none" and {a, b} & regulators:
            kind = "regulator"
        strong[kind] += abs(epsilon) > 0.08
    assert strong["none"] == 0
    assert strong["regulator"] > 20
    assert strong["shared"] > 500


def test_reported_deviations_and_p_values_are_those_of_the_noise(yeast):
    t = yeast.truth
    book = openpyxl.load_workbook(yeast.folder / "smf.xlsx", read_only=True)
    rows = list(book.active.iter_rows(values_only=True))
    book.close()
    true = {}
    for strain, fitness in zip(t["single_strain"], t["single_fitness"], strict=True):
        written = strain.replace("(damp)", "_damp")
        true[re.sub(r"\(ts:(\w+)\)", r"_\1", written)] = fitness
    assert {name for name, _, _ in rows} == set(true)
    z = np.array([(value - true[name]) / sd for name, value, sd in rows])
    assert abs(z.mean()) < 0.15
    assert 0.9 < z.std() < 1.1
    measured = [line.split("\t") for line in read(yeast.folder / "sga.txt.gz")]
    assert {len(row) for row in measured} == {7}
    epsilon, sd, p = np.array([row[4:] for row in measured], dtype=float).T
    truth = {
        (q, a): e
        for q, a, e in zip(t["pair_query"], t["pair_array"], t["pair_interaction"], strict=True)
    }
    assert len(truth) == len(measured)
    z = (epsilon - [truth[row[0], row[2]] for row in measured]) / sd
    assert abs(z.mean()) < 0.03
    assert 0.97 < z.std() < 1.03
    assert np.abs(p - 2 * ndtr(-np.abs(epsilon / sd))).max() < 0.02  # rounded epsilon and s.d.
    assert 0.015 < np.median(sd) < 0.03
    both = {(row[2], row[0]) for row in measured} & {(row[0], row[2]) for row in measured}
    assert len(both) > 100


def test_expression_and_morphology_are_truth_and_noise_and_the_first_three_are_one_ellipse(yeast):
    t = yeast.truth
    rows = [line.split("\t") for line in read(yeast.folder / "expression_log2fc.tsv.gz")]
    strains, genes = rows[0][1:], [row[0] for row in rows[1:]]
    measured = np.array([row[1:] for row in rows[1:]], dtype=float)
    s = [list(t["expression_strain"]).index(name) for name in strains]
    g = [list(t["gene"]).index(name) for name in genes]
    assert (measured - t["expression"][np.ix_(s, g)].T).std() == pytest.approx(0.08, rel=0.02)
    own = [measured[genes.index(name), i] for i, name in enumerate(strains)]
    assert max(own) < -2  # the deleted gene is gone
    rows = [line.split("\t") for line in read(yeast.folder / "morphology.tsv.gz")]
    assert rows[0][1:] == list(t["morphology_parameter"])
    assert len(rows[0]) == 13
    values = np.array([[float(x) if x else np.nan for x in row[1:]] for row in rows[1:]])
    order = [list(t["morphology_strain"]).index(row[0]) for row in rows[1:]]
    true = t["morphology"][order]
    assert 0.003 < np.isnan(values).mean() < 0.02
    for column in range(12):
        seen = ~np.isnan(values[:, column])
        assert np.corrcoef(values[seen, column], true[seen, column])[0, 1] > 0.5
    log_e1, log_ratio, log_area = t["morphology"][:, :3].T
    assert np.allclose(log_area, np.log(np.pi / 4) + 2 * log_e1 - log_ratio)


# ------------------------------------------------------------------ the genome


def test_every_gene_reads_from_atg_to_a_stop_on_its_strand(chromosomes, features):
    orfs = [row for row in features if row[1] == "ORF"]
    assert len({row[3] for row in orfs}) == len(orfs) == 600
    spliced = coding(chromosomes, features)
    for row in orfs:
        assert re.fullmatch(r"Y[A-P][LR]\d{3}[WC](-[A-Z])?", row[3])
        assert (int(row[9]) > int(row[10])) == (row[11] == "C")
        assert "ABCDEFGHIJKLMNOP"[int(row[8]) - 1] == row[3][1]
        read_through = protein(spliced[row[3]])
        assert read_through[0] == "M"
        assert read_through.index("*") == len(read_through) - 1
    introns = [stretch(chromosomes, row) for row in features if row[1] == "intron"]
    assert len(introns) > 10
    assert all(i.startswith("GTATGT") and i.endswith("TAG") and "TACTAAC" in i for i in introns)
    names = [name for row in orfs for name in [row[4], *row[5].split("|")] if name]
    assert len(set(names)) == len(names)


def test_genes_lie_in_order_apart_from_one_another_and_few_lack_flank(chromosomes, features):
    short = 0
    for number, letters in enumerate(chromosomes.values(), start=1):
        orfs = [row for row in features if row[1] == "ORF" and row[8] == str(number)]
        spans = [sorted((int(row[9]), int(row[10]))) for row in orfs]
        assert all(b[0] - a[1] > 300 for a, b in pairwise(spans))
        for row, (start, stop) in zip(orfs, spans, strict=True):
            up, down = start - 1, len(letters) - stop
            before, after = (up, down) if row[11] == "W" else (down, up)
            short += before < 1000 or after < 297
    assert 1 <= short <= 12


def test_isozymes_share_about_seventy_per_cent_of_their_amino_acids(yeast, chromosomes, features):
    spliced = coding(chromosomes, features)
    names = yeast.truth["gene"]
    share = []
    for a, b in yeast.truth["isozymes"]:
        one, two = protein(spliced[names[a]]), protein(spliced[names[b]])
        assert len(one) == len(two)
        share.append(np.mean([x == y for x, y in zip(one, two, strict=True)]))
    assert len(share) > 20
    assert 0.65 < np.mean(share) < 0.78


def test_planted_sites_stand_in_the_genome_where_the_truth_says(yeast, chromosomes, features):
    t = yeast.truth
    orf = {row[3]: row for row in features if row[1] == "ORF"}
    for gene, offset, letters in zip(
        t["site_gene"], t["site_offset"], t["site_letters"], strict=True
    ):
        promoter = stretch(chromosomes, orf[t["gene"][gene]], before=400)[:400]
        assert promoter[offset : offset + 12] == "".join(BASES[x] for x in letters)
    assert len(t["site_gene"]) > 600


def test_weights_are_what_a_plain_scan_of_the_promoter_reads(yeast, chromosomes, features):
    t = yeast.truth
    orf = {row[3]: row for row in features if row[1] == "ORF"}
    factors = set(t["factor_gene"].tolist())
    busy = [g for g in np.argsort(-np.abs(t["weight"]).sum(axis=1)) if g not in factors][:2]
    for gene in busy:
        promoter = stretch(chromosomes, orf[t["gene"][gene]], before=400)[:400]
        backward = promoter.translate(COMPLEMENT)[::-1]
        for factor, matrix in enumerate(t["factor_matrix"]):
            best = sum(max(column) for column in matrix)
            affinity = 0.0
            for strand in (promoter, backward):
                for i in range(400 - 12 + 1):
                    site = strand[i : i + 12]
                    score = sum(matrix[j][BASES.index(x)] for j, x in enumerate(site)) - best
                    if score >= -FLOOR:
                        affinity += 2.0**score
            weight = STRENGTH * t["factor_activates"][factor] * affinity / (affinity + 0.3)
            assert t["weight"][gene, factor] == pytest.approx(weight, abs=1e-9)


# ------------------------------------------------------------------ the observed graph


def test_the_ontology_has_its_relations_an_alternative_id_and_an_obsolete_term(yeast):
    graph = obonet.read_obo(yeast.folder / "go.obo", ignore_obsolete=False)
    kinds = {kind for _, _, kind in graph.edges(keys=True)}
    assert kinds >= {"is_a", "part_of", "positively_regulates", "negatively_regulates"}
    assert sum("alt_id" in data for _, data in graph.nodes(data=True)) == 1
    assert sum(data.get("is_obsolete") == "true" for _, data in graph.nodes(data=True)) == 1
    assert {data["namespace"] for _, data in graph.nodes(data=True)} == {
        "biological_process",
        "molecular_function",
        "cellular_component",
    }


def test_annotations_are_incomplete_sometimes_too_general_and_sometimes_wrong(yeast):
    t = yeast.truth
    rows = [x.split("\t") for x in read(yeast.folder / "gene_association.sgd.gaf") if x[0] != "!"]
    assert {len(row) for row in rows} == {17}
    assert any(row[3].startswith("NOT|") for row in rows)
    assert len({row[6] for row in rows}) >= 7
    graph = obonet.read_obo(yeast.folder / "go.obo")
    pathway = {
        term: data["name"]
        for term, data in graph.nodes(data=True)
        if re.fullmatch(r"pathway \d+[ab] process", data["name"])
    }
    stated = {(row[10].split("|")[0], pathway.get(row[4])) for row in rows if "NOT" not in row[3]}
    true = set()
    for gene, step in zip(t["member_gene"], t["member_step"], strict=True):
        p = t["step_pathway"][step]
        true.add((t["gene"][gene], f"pathway {p // 2 + 1}{'ab'[p % 2]} process"))
    stated = {pair for pair in stated if pair[1]}
    # 12 % missing and, of the rest, 10 % too general
    assert 0.74 < len(stated & true) / len(true) < 0.85
    assert 0.02 < len(stated - true) / len(true) < 0.15


def test_links_stand_twice_and_isozymes_are_homologous(yeast):
    rows = [x.split(" ") for x in read(yeast.folder / "4932.protein.physical.links.full.txt.gz")]
    assert rows[0][-1] == "combined_score"
    links = {(row[0], row[1]): row[2:] for row in rows[1:]}
    assert len(links) == len(rows) - 1
    assert all(links[b, a] == value for (a, b), value in links.items())
    names = yeast.truth["gene"]
    twins = {(f"4932.{names[a]}", f"4932.{names[b]}") for a, b in yeast.truth["isozymes"]}
    homologous = {pair for pair, value in links.items() if int(value[0]) > 0}
    assert homologous
    assert all((a, b) in twins or (b, a) in twins for a, b in homologous)
    scores = np.array([value[-1] for value in links.values()], dtype=int)
    assert scores.min() >= 41
    assert scores.max() <= 999


def test_the_regulation_matrix_shows_most_true_edges_and_few_false_ones(yeast):
    t = yeast.truth
    rows = [line.split("\t") for line in read(yeast.folder / "regulation_matrix.tsv.gz")]
    seen = {
        (row[0], factor)
        for row in rows[1:]
        for factor, value in zip(rows[0][1:], row[1:], strict=True)
        if value == "1"
    }
    assert {value for row in rows[1:] for value in row[1:]} == {"0", "1"}
    strong = np.abs(t["weight"]) > 0.3
    true = {
        (t["gene"][g], t["gene"][t["factor_gene"][f]])
        for g, f in zip(*np.nonzero(strong), strict=True)
    }
    weak = {
        (t["gene"][g], t["gene"][t["factor_gene"][f]])
        for g, f in zip(*np.nonzero(np.abs(t["weight"]) > 0.05), strict=True)
    }
    assert 0.85 < len(seen & true) / len(true) < 0.97
    assert 0.01 < len(seen - weak) / len(seen) < 0.10


def test_complex_rows_after_the_first_stop_behind_the_name(yeast):
    rows = [line.split("\t") for line in read(yeast.folder / "complexes.tab")]
    assert len(rows[0]) == 8
    lengths = {}
    for row in rows[1:]:
        lengths.setdefault(row[2], []).append(len(row))
    assert all(n[0] == 8 and set(n[1:]) == {3} for n in lengths.values())


# ------------------------------------------------------------------ as a whole


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(small, tmp_path):
    simulate(tmp_path / "same", genes=120, seed=5)
    simulate(tmp_path / "other", genes=120, seed=6)
    files = sorted(f.relative_to(small.folder) for f in small.folder.rglob("*") if f.is_file())
    assert len(files) == 13
    for file in files:
        same, other = ((tmp_path / name / file).read_bytes() for name in ("same", "other"))
        assert (small.folder / file).read_bytes() == same
        assert same != other or file.name == "complexes.tab" or file.name == "sources.toml"


def test_sources_name_every_file_but_the_truth(small):
    listed = tomllib.loads((small.folder / "sources.toml").read_text())
    files = {entry["file"] for entry in listed["source"]}
    assert files == {f.name for f in small.folder.iterdir() if f.is_file()} - {"sources.toml"}
    assert "truth" not in " ".join(files)
    assert listed["embed"] == [{"provider": "kmer"}]


def test_every_file_loads_and_the_database_holds_the_strains_of_the_truth(small, tmp_path):
    with open_store(tmp_path / "yeast.db") as store:
        ledgers = build(store, small.folder / "sources.toml")
        rejected = {reason for ledger in ledgers for reason in ledger.rejected}
        allowed = r"not a gene: (CDS|intron|centromere)|below min_score.*"
        assert all(re.fullmatch(allowed, reason) for reason in rejected)
        found = store.query("MATCH (s:Strain) RETURN s.id AS id").column("id").to_pylist()
        t = small.truth
        assert set(found) == set(t["single_strain"]) | set(t["pair_strain"])
        rows = store.query(
            "MATCH (a:Gene)-[:PARALOG_OF]->(b:Gene) RETURN a.id AS a, b.id AS b"
        ).to_pylist()
        twins = {frozenset(t["gene"][list(pair)]) for pair in t["isozymes"]}
        assert {frozenset((row["a"], row["b"])) for row in rows} == twins
        rows = store.query(
            "MATCH (e:Experiment)-[:TESTS]->(s:Strain) "
            "WHERE e.phenotype = 'fitness' AND e.interaction IS NOT NULL "
            "RETURN s.id AS id, e.value AS value"
        ).to_pylist()
        true = dict(zip(t["pair_strain"], t["pair_fitness"], strict=True))
        assert len(rows) == small.summary.pairs
        gap = [row["value"] - true[row["id"]] for row in rows]
        assert np.std(gap) < 0.04


def test_a_folder_with_files_is_refused_unless_forced(small, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(SourceError, match="not empty"):
        simulate(tmp_path, genes=120, seed=5)
    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]
    simulate(tmp_path, genes=120, seed=5, force=True)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert (tmp_path / "go.obo").read_bytes() == (small.folder / "go.obo").read_bytes()


def test_too_few_genes_a_negative_seed_and_a_file_for_a_folder_are_refused(tmp_path):
    with pytest.raises(SourceError, match=r"at least 120 genes, got 119"):
        simulate(tmp_path / "a", genes=119)
    with pytest.raises(SourceError, match=r"seed is 0 or more, got -1"):
        simulate(tmp_path / "a", genes=120, seed=-1)
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").write_text("")
    with pytest.raises(SourceError, match="is a file"):
        simulate(tmp_path / "b", genes=120)
