// What nobody has measured yet under a term: its genes of which no strain that perturbs them, alone
// or with others, was measured for a phenotype.
//
// $go         id of the term; is_a and part_of lead down from it, NOT annotations do not count
// $phenotype  fitness, expression or morphology
//
// Gives: gene, symbol, kind (ORF, tRNA_gene ...).
// :param go => "GO:0006281"
// :param phenotype => "expression"
MATCH (top:Term {id: $go})<-[:IS_A|PART_OF*0..30]-(t:Term)
WITH DISTINCT t
MATCH (t)<-[a:ANNOTATED_WITH]-(g:Gene)
WHERE coalesce(a.negated, false) = false
WITH DISTINCT g
WHERE NOT EXISTS {
  MATCH (g)<-[:PERTURBS]-(s:Strain)<-[:TESTS]-(e:Experiment)
  WHERE e.phenotype = $phenotype
}
RETURN g.id AS gene, g.symbol AS symbol, g.kind AS kind
ORDER BY gene
