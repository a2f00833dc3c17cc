// Strains within k interactions of a gene: INTERACTS_WITH leads from it to their perturbed genes in
// k steps at most. Three steps reach most of a genome, so raise the score with k.
//
// $gene       systematic name or symbol
// $k          0 (the gene itself) to 3
// $min_score  least confidence of an interaction; one without a score does not count
// $every      true: every perturbed gene of the strain is that near; false: one is enough
//
// Gives: strain, n_perturbed, n_inside (perturbations of near genes).
// :param gene => "RAD51"
// :param k => 1
// :param min_score => 0.4
// :param every => true
MATCH (a:Gene)
WHERE a.id = $gene OR a.symbol = $gene
OPTIONAL MATCH (a)-[r:INTERACTS_WITH]-(n:Gene)
WHERE $k >= 1 AND r.score >= $min_score
UNWIND [a.id, n.id] AS one
WITH DISTINCT one
MATCH (b:Gene {id: one})
OPTIONAL MATCH (b)-[q:INTERACTS_WITH]-(m:Gene)
WHERE $k >= 2 AND q.score >= $min_score
UNWIND [b.id, m.id] AS two
WITH DISTINCT two
MATCH (c:Gene {id: two})
OPTIONAL MATCH (c)-[v:INTERACTS_WITH]-(w:Gene)
WHERE $k >= 3 AND v.score >= $min_score
UNWIND [c.id, w.id] AS three
WITH DISTINCT three
MATCH (g:Gene {id: three})
MATCH (s:Strain)-[p:PERTURBS]->(g)
WITH s, count(p) AS n_inside
WHERE n_inside = s.n_perturbed OR NOT $every
RETURN s.id AS strain, s.n_perturbed AS n_perturbed, n_inside
ORDER BY strain
