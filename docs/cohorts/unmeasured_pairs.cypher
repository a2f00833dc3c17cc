// Pairs that nobody has measured yet under a term: two of its genes, the fitness of both as single
// mutants measured, of which no strain that perturbs the two was measured. Pairs grow with the square
// of the term: one of a thousand genes takes seconds.
//
// $go     id of the term; is_a and part_of lead down from it, NOT annotations do not count
// $limit  the greatest number of pairs given, in the order of their ids
//
// Gives: gene_a, gene_b (gene_a < gene_b).
// :param go => "GO:0006281"
// :param limit => 1000
MATCH (top:Term {id: $go})<-[:IS_A|PART_OF*0..30]-(t:Term)
WITH DISTINCT t
MATCH (t)<-[x:ANNOTATED_WITH]-(g:Gene)
WHERE coalesce(x.negated, false) = false
WITH DISTINCT g
MATCH (g)<-[:PERTURBS]-(one:Strain)
WHERE one.n_perturbed = 1
MATCH (one)<-[:TESTS]-(e:Experiment)
WHERE e.phenotype = 'fitness'
WITH collect(DISTINCT g.id) AS genes
UNWIND genes AS gene_a
UNWIND genes AS gene_b
WITH gene_a, gene_b
WHERE gene_a < gene_b
OPTIONAL MATCH (a:Gene {id: gene_a})<-[:PERTURBS]-(s:Strain)-[:PERTURBS]->(b:Gene {id: gene_b}),
  (s)<-[:TESTS]-(m:Experiment)
WHERE a.id < b.id
WITH gene_a, gene_b, count(m) AS n_measured
WHERE n_measured = 0
RETURN gene_a, gene_b
ORDER BY gene_a, gene_b
LIMIT $limit
