// Predicted against measured, for a run: fitness and interaction score of every strain that the run
// predicted and that was measured. What was measured is the mean over the experiments.
//
// $run    id of the run
// $split  train, validation, test or unmeasured: strains of that part of the run's split; all: of any
//
// Gives: strain, n_perturbed, split, measured_fitness, predicted_fitness, predicted_fitness_sd,
// measured_interaction, predicted_interaction, predicted_interaction_sd.
// :param split => "test"
MATCH (r:Run {id: $run})-[p:PREDICTED]->(s:Strain)
WITH p, s
WHERE p.split = $split OR $split = 'all'
MATCH (e:Experiment)-[:TESTS]->(s)
WHERE e.phenotype = 'fitness'
WITH p, s, avg(e.value) AS measured_fitness, avg(e.interaction) AS measured_interaction
WHERE measured_fitness IS NOT NULL OR measured_interaction IS NOT NULL
RETURN s.id AS strain, s.n_perturbed AS n_perturbed, p.split AS split,
  measured_fitness, p.fitness AS predicted_fitness, p.fitness_sd AS predicted_fitness_sd,
  measured_interaction, p.interaction AS predicted_interaction,
  p.interaction_sd AS predicted_interaction_sd
ORDER BY strain
