// Strains with all three phenotypes: fitness, expression and morphology were measured of each.
//
// Gives: strain, n_perturbed, n_fitness, n_expression, n_morphology (experiments).
MATCH (x:Experiment {phenotype: 'expression'})-[:TESTS]->(s:Strain)
WITH s, count(x) AS n_expression
MATCH (m:Experiment {phenotype: 'morphology'})-[:TESTS]->(s)
WITH s, n_expression, count(m) AS n_morphology
MATCH (f:Experiment {phenotype: 'fitness'})-[:TESTS]->(s)
WHERE f.value IS NOT NULL
WITH s, n_expression, n_morphology, count(f) AS n_fitness
RETURN s.id AS strain, s.n_perturbed AS n_perturbed, n_fitness, n_expression, n_morphology
ORDER BY strain
