"""Genes in SGD's tables of features: which features are genes, and their columns."""

GENES = frozenset(
    {
        "ORF",
        "blocked_reading_frame",
        "ncRNA_gene",
        "pseudogene",
        "rRNA_gene",
        "snRNA_gene",
        "snoRNA_gene",
        "tRNA_gene",
        "telomerase_RNA_gene",
        "transposable_element_gene",
    }
)
"""Feature types that are genes. Groups of genes and loci that are not on the reference sequence
("not physically mapped", "not in systematic sequence of S288C") are left out, because no data can
be attached to them."""

PROPERTIES = (
    *("id", "symbol", "aliases", "sgd_id", "kind", "status"),
    *("chromosome", "start_pos", "end_pos", "strand", "description"),
)
"""The properties of a Gene, in the order in which a loader gives them."""
