"""Tables to copy and fill in, one a kind of measurement; their loaders read them as they are."""

from typing import NamedTuple

from genograph.errors import SchemaError


class Template(NamedTuple):
    """A table to copy.

    Attributes:
        loader: which reads it.
        options: of that loader, as on the command line.
        text: comma-separated, with a header.
    """

    loader: str
    options: str
    text: str


TEMPLATES = {
    "fitness": Template(
        "experiments_csv",
        "--study mine2026",
        """\
strain,value,sd,p,unit,environment,batch,replicate,comment
WT,1.00,0.02,,relative to wild type,SD_30C,plate 1,,
RAD51,0.93,0.03,0.04,relative to wild type,SD_30C,plate 1,1,
RAD51,0.91,0.03,0.03,relative to wild type,SD_30C,plate 2,2,
rad52Δ,0.88,0.02,0.001,relative to wild type,SD_30C,plate 1,,
RAD51(damp),0.97,NA,,relative to wild type,SD_30C,plate 1,,s.d. was not measured
RAD54(overexpression@1.5),1.02,0.04,,relative to wild type,SD_30C,plate 2,,
RAD54(overexpression),0.71,0.04,,relative to wild type,SD_30C,plate 2,,20 fold
RAD52(knockdown@0.3),0.95,0.05,,relative to wild type,SD_30C,plate 2,,CRISPRi
""",
    ),
    "interaction": Template(
        "experiments_csv",
        "--study mine2026",
        """\
strain,value,sd,interaction,interaction_sd,p,environment,batch
RAD51,0.93,0.03,,,,SD_30C,plate 1
RAD52,0.88,0.02,,,,SD_30C,plate 1
RAD51+RAD52,0.90,0.03,0.08,0.04,0.02,SD_30C,plate 1
RAD51+RAD54(ts:tsq508),0.60,0.05,-0.21,0.06,0.001,SD_26C,plate 2
RAD51+RAD52+RAD54,0.72,0.05,,,,SD_30C,plate 2
""",
    ),
    "expression": Template(
        "expression_matrix",
        '--study mine2026 --unit "log2 fold change"',
        """\
gene,RAD51,RAD52+RAD54,WT
RAD51,-3.2,0.1,0.0
RAD52,0.2,-2.9,0.1
RAD54,,-4.1,0.0
""",
    ),
    "morphology": Template(
        "morphology_matrix",
        '--study mine2026 --unit "um"',
        """\
strain,long axis,short axis
WT,5.1,4.2
RAD51,5.6,4.3
RAD52+RAD54,6.0,
""",
    ),
}
"""By kind of measurement; units, doses and missing values are described in docs/your-data.md."""


def template(kind: str) -> str:
    """Return a table to copy and fill in with your own measurements, as comma-separated text.

    Args:
        kind: fitness, interaction, expression or morphology.

    Returns:
        The table, with a header; docs/your-data.md says how it is loaded.

    Raises:
        SchemaError: another kind.

    Example:
        >>> print(genograph.template("fitness").splitlines()[0])
        strain,value,sd,p,unit,environment,batch,replicate,comment
    """
    if kind not in TEMPLATES:
        msg = f"template {kind}: there is none; choose from {', '.join(TEMPLATES)}"
        raise SchemaError(msg)
    return TEMPLATES[kind].text
