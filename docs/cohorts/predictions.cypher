// What the promoted run predicts, strain by strain. The promoted run is read once, from the one
// node that names it, so all rows are of one run, also while another run is being written back.
//
// $min_perturbed  least number of perturbed genes of a strain
//
// Gives: strain, n_perturbed, run, split, fitness, fitness_sd, interaction, interaction_sd.
// :param min_perturbed => 0
MATCH (d:Database)
WITH d.promoted_run AS promoted
MATCH (r:Run)-[p:PREDICTED]->(s:Strain)
WHERE r.id = promoted AND s.n_perturbed >= $min_perturbed
RETURN s.id AS strain, s.n_perturbed AS n_perturbed, r.id AS run, p.split AS split,
  p.fitness AS fitness, p.fitness_sd AS fitness_sd,
  p.interaction AS interaction, p.interaction_sd AS interaction_sd
ORDER BY strain
