"""Strain ids of the SGA collections: the suffix that tells what is done to the gene."""

import re

from genograph.schema import Perturbation

SUFFIX = re.compile(r"(sn|dma|damp|tsq|tsa)(\d+)", re.ASCII)
"""Collection and number of a strain: `_sn12`, `_dma3`, `_damp4`, `_tsq508`, `_tsa9`."""


def strain_perturbation(name: str, gene: str) -> Perturbation | None:
    """The perturbation of `gene` in an SGA strain by its id, None where the suffix is not known."""
    found = SUFFIX.fullmatch(name.strip().partition("_")[2].lower())
    if found is None:
        return None
    if found[1] in ("sn", "dma"):
        return Perturbation.of(gene)
    if found[1] == "damp":
        return Perturbation.of(gene, "damp")
    return Perturbation.of(gene, "ts", found[0])
