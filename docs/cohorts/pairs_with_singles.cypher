// Pairs with measured singles: double mutants whose fitness was measured, where that of both single
// mutants with the same perturbations (gene, kind and allele) was measured too.
//
// $study  study of the pairs; the single mutants may be of any
//
// Gives: strain, fitness, fitness_low and fitness_high (the sicker and the fitter single mutant),
// product (of the two), interaction (fitness minus product). Fitness is relative to the wild type,
// the mean over the experiments.
// :param study => "costanzo2010"
MATCH (x:Experiment)-[:FROM_STUDY]->(u:Study {id: $study})
WHERE x.phenotype = 'fitness' AND x.value IS NOT NULL
MATCH (x)-[:TESTS]->(s:Strain)
WHERE s.n_perturbed = 2
WITH s, avg(x.value) AS fitness
MATCH (s)-[p:PERTURBS]->(g:Gene)
MATCH (g)<-[q:PERTURBS]-(one:Strain)
WHERE one.n_perturbed = 1
WITH s, fitness, p, q, one
WHERE q.kind = p.kind AND q.allele = p.allele
MATCH (e:Experiment)-[:TESTS]->(one)
WHERE e.phenotype = 'fitness' AND e.value IS NOT NULL
WITH s.id AS strain, fitness, one.id AS mutant, avg(e.value) AS alone
WITH strain, fitness, count(*) AS n_mutant, min(alone) AS fitness_low, max(alone) AS fitness_high
WHERE n_mutant = 2
RETURN strain, fitness, fitness_low, fitness_high, fitness_low * fitness_high AS product,
  fitness - fitness_low * fitness_high AS interaction
ORDER BY strain
