// Suppressors: pairs that are fitter than the single mutants lead to expect, by a threshold and a
// P value. The interaction score is the pair's fitness minus the product of the singles'.
//
// $min_interaction  least interaction score, in units of fitness
// $max_p            greatest P value; an experiment that reports none is not kept
//
// Gives: experiment, strain, interaction, p, fitness (null where it was not derived).
// :param min_interaction => 0.16
// :param max_p => 0.05
MATCH (e:Experiment)-[:TESTS]->(s:Strain)
WHERE e.phenotype = 'fitness' AND s.n_perturbed = 2
  AND e.interaction >= $min_interaction AND e.p <= $max_p
RETURN e.id AS experiment, s.id AS strain, e.interaction AS interaction, e.p AS p, e.value AS fitness
ORDER BY interaction DESC, experiment
