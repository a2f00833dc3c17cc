// Pairs across two terms: double mutants with one gene under the first GO term and the other gene
// under the second. A pair whose genes are both under both terms has two rows.
//
// $go_a, $go_b  ids of the terms; is_a and part_of lead down, NOT annotations do not count
//
// Gives: strain, gene_a (under the first term), gene_b (under the second).
// :param go_a => "GO:0006281"
// :param go_b => "GO:0006338"
MATCH (top:Term)<-[:IS_A|PART_OF*0..30]-(t:Term)
WHERE top.id = $go_a OR top.id = $go_b
WITH DISTINCT top.id AS side, t
MATCH (t)<-[x:ANNOTATED_WITH]-(g:Gene)
WHERE coalesce(x.negated, false) = false
WITH DISTINCT side, g
MATCH (s:Strain)-[:PERTURBS]->(g)
WHERE s.n_perturbed = 2
WITH s.id AS strain,
  min(CASE WHEN side = $go_a THEN g.id END) AS a_low,
  max(CASE WHEN side = $go_a THEN g.id END) AS a_high,
  min(CASE WHEN side = $go_b THEN g.id END) AS b_low,
  max(CASE WHEN side = $go_b THEN g.id END) AS b_high
UNWIND [a_low, a_high] AS gene_a
UNWIND [b_low, b_high] AS gene_b
WITH DISTINCT strain, gene_a, gene_b
WHERE gene_a <> gene_b
RETURN strain, gene_a, gene_b
ORDER BY strain, gene_a
