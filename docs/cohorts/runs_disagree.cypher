// Strains where two runs disagree: their predictions of fitness differ, the greatest difference first.
//
// $run_a, $run_b   ids of the runs
// $min_difference  least absolute difference of the predicted fitness, wild type = 1
//
// Gives: strain, fitness_a, fitness_b, difference (a minus b), z (the difference over the root of the
// summed variances of both ensembles; null where a run reports no s.d., or both are 0).
// :param min_difference => 0.1
MATCH (x:Run {id: $run_a})-[p:PREDICTED]->(s:Strain)
MATCH (y:Run {id: $run_b})-[q:PREDICTED]->(s)
WITH s.id AS strain, p.fitness AS fitness_a, q.fitness AS fitness_b,
  p.fitness - q.fitness AS difference,
  sqrt(p.fitness_sd * p.fitness_sd + q.fitness_sd * q.fitness_sd) AS spread
WHERE abs(difference) >= $min_difference
RETURN strain, fitness_a, fitness_b, difference,
  CASE WHEN spread > 0 THEN difference / spread END AS z
ORDER BY abs(difference) DESC, strain
