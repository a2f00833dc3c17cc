"""The graph as databases know it: annotations, interactions, regulation, complexes, with gaps.

Of what is true a part is missing, a part is stated too generally, and some is wrong, at the rates
below; so a model that reads the graph sees the cell as curators do.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genograph.simulation.architecture import COMPLEX, ISOZYME, SINGLE, Architecture, Ints
from genograph.simulation.regulation import Regulation

MISSING = 0.12  # annotations, interactions, members and regulations nobody has found
GENERAL = 0.10  # annotations to an ancestor of the right term
SPURIOUS = 0.03  # wrong ones, per true one
PROCESS, FUNCTION, COMPONENT = "biological_process", "molecular_function", "cellular_component"
ASPECT = {PROCESS: "P", FUNCTION: "F", COMPONENT: "C"}
ROOT = {PROCESS: "GO:0008150", FUNCTION: "GO:0003674", COMPONENT: "GO:0005575"}
FACTOR_FUNCTION = "GO:0003700"


@dataclass
class Term:
    """A term of the ontology; `parents` are (relation, id)."""

    id: str
    name: str
    namespace: str
    parents: list[tuple[str, str]]
    alternative: tuple[str, ...] = ()
    obsolete: bool = False


class Annotation(NamedTuple):
    """A gene's annotation as a GAF row states it; `relation` may begin with NOT|."""

    row: int
    term: str
    relation: str
    evidence: str


class Link(NamedTuple):
    """A protein pair with STRING channel scores, thousandths."""

    a: int
    b: int
    homology: int
    experiments: int
    database: int
    textmining: int


class Observed(NamedTuple):
    """The observed graph; genes by row, complexes as (name, GO id, rows)."""

    terms: list[Term]
    annotations: list[Annotation]
    links: list[Link]
    regulation: Ints
    complexes: list[tuple[str, str, list[int]]]


class Ontology(NamedTuple):
    """Terms with the ids that stand for the parts of the cell."""

    terms: list[Term]
    area: list[str]
    system: list[str]
    pathway: list[str]
    control: list[str]
    function: list[str]
    complex: dict[int, str]
    compartment: list[str]
    area_of_system: Ints


def observe(
    rng: np.random.Generator, cell: Architecture, regulation: Regulation, names: list[str]
) -> Observed:
    """Draw the observed graph of the cell; `names` [gene] order what is written."""
    ontology = _ontology(rng, cell, regulation)
    return Observed(
        ontology.terms,
        _annotations(rng, cell, regulation, ontology, names),
        _links(rng, cell),
        _regulation(rng, regulation),
        _complexes(rng, cell, ontology),
    )


def _ontology(rng: np.random.Generator, cell: Architecture, regulation: Regulation) -> Ontology:
    terms = [Term(i, n, n, []) for n, i in ROOT.items()]
    count = 0

    def add(name: str, namespace: str, *parents: tuple[str, str]) -> str:
        nonlocal count
        count += 1
        term = Term(f"GO:99{count:05d}", name, namespace, list(parents))
        terms.append(term)
        return term.id

    root = ROOT[PROCESS]
    n_area = max(2, round(cell.n_system / 4))
    area = [add(f"area {k + 1} process", PROCESS, ("is_a", root)) for k in range(n_area)]
    terms[-1].alternative = ("GO:9800001",)
    area_of = rng.permutation(np.arange(cell.n_system) % n_area)
    system, pathway, control = [], [], []
    regulating = add("regulation of biological process", PROCESS, ("is_a", root))
    for k in range(cell.n_system):
        parents = [("is_a", area[area_of[k]])]
        if rng.random() < 0.2:  # a second parent, as in any ontology that is no tree
            second = area[int(rng.integers(n_area))]
            parents += [("is_a", second)] if ("is_a", second) not in parents else []
        system.append(add(f"system {k + 1} process", PROCESS, *parents))
        for branch in "ab":
            relation = "is_a" if rng.random() < 0.6 else "part_of"
            mine = (relation, system[k])
            pathway.append(add(f"pathway {k + 1}{branch} process", PROCESS, mine))
            sign = regulation.activates[regulation.senses[len(pathway) - 1]]
            kind = "positively_regulates" if sign > 0 else "negatively_regulates"
            if rng.random() < 0.3:
                kind = "regulates"
            name = f"{kind.replace('ly_regulates', ' regulation')} of pathway {k + 1}{branch}"
            name = name.replace("regulates of", "regulation of")
            over = (kind, pathway[-1])
            control.append(add(name, PROCESS, ("is_a", regulating), over))
    catalysis = add("catalytic activity", FUNCTION, ("is_a", ROOT[FUNCTION]))
    binding = add("structural activity", FUNCTION, ("is_a", ROOT[FUNCTION]))
    terms.append(
        Term(FACTOR_FUNCTION, "DNA-binding transcription factor activity", FUNCTION,
             [("is_a", ROOT[FUNCTION])])
    )  # fmt: skip
    families = [
        add(f"enzyme family {k + 1} activity", FUNCTION, ("is_a", catalysis))
        for k in range(max(3, cell.n_system // 2))
    ]
    n_compartment = 8
    compartment = [
        add(f"compartment {k + 1}", COMPONENT, ("is_a", ROOT[COMPONENT]))
        for k in range(n_compartment)
    ]
    function: list[str] = []
    complexes: dict[int, str] = {}
    for step, kind in enumerate(cell.step_kind):
        if kind == COMPLEX:
            function.append(binding)
            place = compartment[int(cell.step_pathway[step]) // 2 % n_compartment]
            name = f"complex {len(complexes) + 1}"
            complexes[step] = add(name, COMPONENT, ("is_a", ROOT[COMPONENT]), ("part_of", place))
        else:
            family = families[int(rng.integers(len(families)))]
            function.append(add(f"step {step + 1} activity", FUNCTION, ("is_a", family)))
    terms.append(Term("GO:9899999", "obsolete area process", PROCESS, [], obsolete=True))
    return Ontology(
        terms, area, system, pathway, control, function, complexes, compartment, area_of
    )


def _annotations(
    rng: np.random.Generator,
    cell: Architecture,
    regulation: Regulation,
    ontology: Ontology,
    names: list[str],
) -> list[Annotation]:
    out: dict[tuple[int, str], Annotation] = {}
    relation = {"P": "involved_in", "F": "enables", "C": "located_in"}
    kind = {t.id: ASPECT[t.namespace] for t in ontology.terms}
    curated = ["IMP", "IDA", "IGI", "IPI", "IBA", "IEA", "ISS"]

    def state(row: int, term: str, *, evidence: str = "", negated: bool = False) -> None:
        # the evidence is drawn even for a repeat, so one more fact moves no other
        code = evidence or str(rng.choice(curated, p=[0.25, 0.2, 0.1, 0.1, 0.15, 0.15, 0.05]))
        verb = relation[kind.get(term, "P")]
        if term in ontology.complex.values():
            verb = "part_of"
        stated = ("NOT|" if negated else "") + verb
        out.setdefault((row, term), Annotation(row, term, stated, code))

    def pathway_term(pathway: int) -> str:
        roll = rng.random()
        system = int(cell.pathway_system[pathway])
        if roll < GENERAL * 0.7:
            return ontology.system[system]
        if roll < GENERAL:
            area = ontology.area[ontology.area_of_system[system]]
            alternative = area == ontology.area[-1] and rng.random() < 0.5
            return "GO:9800001" if alternative else area
        return ontology.pathway[pathway]

    for gene, step in zip(cell.member_gene.tolist(), cell.member_step.tolist(), strict=True):
        pathway = int(cell.step_pathway[step])
        if rng.random() >= MISSING:
            state(gene, pathway_term(pathway))
        if rng.random() >= MISSING:
            state(gene, ontology.function[step])
        if step in ontology.complex:
            if rng.random() >= MISSING:
                state(gene, ontology.complex[step])
        elif rng.random() < 0.6:
            state(gene, ontology.compartment[pathway // 2 % len(ontology.compartment)])
    for pathway, sensor in enumerate(regulation.senses):
        if rng.random() >= MISSING:
            state(int(cell.regulator[sensor]), ontology.control[pathway])
    for gene in cell.regulator.tolist():
        if rng.random() >= MISSING:
            state(gene, FACTOR_FUNCTION)
    n_true = len(out)
    for _ in range(round(SPURIOUS * n_true)):
        state(int(rng.integers(cell.n_gene)), ontology.pathway[rng.integers(len(ontology.pathway))])
    for _ in range(max(2, round(0.004 * n_true))):  # shown not to be there
        gene = int(rng.integers(cell.n_gene))
        pathway = int(rng.integers(len(ontology.pathway)))
        at_home = cell.member_pathway[cell.member_gene == gene]
        if pathway not in at_home:
            state(gene, ontology.pathway[pathway], evidence="IDA", negated=True)
    for gene in range(cell.n_gene):  # what nothing is known of, stated as GAF does
        if not any((gene, t) in out for t in ontology.pathway) and rng.random() < 0.3:
            state(gene, ROOT[PROCESS], evidence="ND")
    return sorted(out.values(), key=lambda a: (names[a.row], a.term))


def _links(rng: np.random.Generator, cell: Architecture) -> list[Link]:
    """Physical links: complex mates nearly all, neighbouring steps often, strangers rarely."""
    found: dict[tuple[int, int], tuple[float, float]] = {}
    paralogs = {(min(a, b), max(a, b)) for a, b in cell.isozymes().tolist()}

    def link(a: int, b: int, chance: float, strength: float) -> None:
        key = (min(a, b), max(a, b))
        if a != b and rng.random() < chance:
            before = found.get(key, (0.0, 0.0))[0]
            found[key] = (max(strength, before), float(rng.random()))

    members = [cell.member_gene[cell.member_step == s].tolist() for s in range(len(cell.step_kind))]
    for step, mine in enumerate(members):
        strength = {COMPLEX: 0.85, ISOZYME: 0.4, SINGLE: 0.0}[int(cell.step_kind[step])]
        for i, a in enumerate(mine):
            for b in mine[i + 1 :]:
                link(a, b, (1 - MISSING) if strength > 0.5 else 0.6, strength)
        if step + 1 < len(members) and cell.step_pathway[step + 1] == cell.step_pathway[step]:
            for a in mine:
                for b in members[step + 1]:
                    link(a, b, 0.45, 0.5)
    for pathway in range(len(cell.pathway_system)):
        mine = np.unique(cell.member_gene[cell.member_pathway == pathway])
        for _ in range(len(mine)):
            link(int(rng.choice(mine)), int(rng.choice(mine)), 0.8, 0.35)
    for _ in range(max(1, round(0.12 * len(found)))):
        a, b = (int(g) for g in rng.integers(0, cell.n_gene, 2))
        link(a, b, 1.0, 0.25)
    out = []
    for (a, b), (strength, roll) in sorted(found.items()):
        score = np.clip(rng.normal(strength, 0.12, 3), 0.05, 0.99) * 1000
        twin = (a, b) in paralogs
        homology = int(rng.integers(600, 950)) if twin else 0
        database = int(score[1]) if strength > 0.6 and roll < 0.5 else 0
        out.append(Link(a, b, homology, int(score[0]), database, int(score[2] * 0.6)))
    return out


def _regulation(rng: np.random.Generator, regulation: Regulation) -> Ints:
    """0/1 matrix [gene, factor]: true edges but for the missing, weak ones least often found."""
    strength = np.abs(regulation.weight)
    edge = strength > 0.05
    found = rng.random(edge.shape) < np.where(strength > 0.3, 1 - 0.7 * MISSING, 0.6)
    spurious = rng.random(edge.shape) < SPURIOUS * 1.5 * edge.mean()
    return np.asarray((edge & found) | (~edge & spurious)).astype(np.int64)


def _complexes(
    rng: np.random.Generator, cell: Architecture, ontology: Ontology
) -> list[tuple[str, str, list[int]]]:
    out = []
    for number, (step, term) in enumerate(ontology.complex.items(), start=1):
        mine = cell.member_gene[cell.member_step == step]
        kept = mine[rng.random(len(mine)) >= MISSING].tolist()
        if rng.random() < SPURIOUS * 3:
            kept.append(int(rng.integers(cell.n_gene)))
        if len(set(kept)) >= 2:
            out.append((f"Complex {number}", term, sorted(set(kept))))
    return out
