// Strains of a pathway: their perturbed genes are annotated with a GO term, or with one below it.
//
// $go     id of the term; is_a and part_of lead down from it, NOT annotations do not count
// $every  true: every perturbed gene of the strain is in the pathway; false: one is enough
//
// Gives: strain, n_perturbed, n_inside (perturbations of genes in the pathway).
// :param go => "GO:0006281"
// :param every => true
MATCH (top:Term {id: $go})<-[:IS_A|PART_OF*0..30]-(t:Term)
WITH DISTINCT t
MATCH (t)<-[a:ANNOTATED_WITH]-(g:Gene)
WHERE coalesce(a.negated, false) = false
WITH DISTINCT g
MATCH (s:Strain)-[p:PERTURBS]->(g)
WITH s, count(p) AS n_inside
WHERE n_inside = s.n_perturbed OR NOT $every
RETURN s.id AS strain, s.n_perturbed AS n_perturbed, n_inside
ORDER BY strain
