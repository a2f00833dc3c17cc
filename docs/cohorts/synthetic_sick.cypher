// Synthetic-sick pairs: pairs that are less fit than the single mutants lead to expect, by a
// threshold and a P value. The score is the pair's fitness minus the product of the singles'.
//
// $max_interaction  greatest interaction score, in units of fitness, below 0
// $max_p            greatest P value; an experiment that reports none is not kept
//
// Gives: experiment, strain, interaction, p, fitness (null where it was not derived).
// :param max_interaction => -0.12
// :param max_p => 0.05
MATCH (e:Experiment)-[:TESTS]->(s:Strain)
WHERE e.phenotype = 'fitness' AND s.n_perturbed = 2
  AND e.interaction <= $max_interaction AND e.p <= $max_p
RETURN e.id AS experiment, s.id AS strain, e.interaction AS interaction, e.p AS p, e.value AS fitness
ORDER BY interaction, experiment
