// Strains of a protein complex: their perturbed genes encode subunits of it.
//
// $complex  id of the complex: source, colon, name
// $every    true: every perturbed gene of the strain is a subunit; false: one is enough
//
// Gives: strain, n_perturbed, n_inside (perturbations of subunits).
// :param complex => "cyc2008:TRAPP complex"
// :param every => true
MATCH (g:Gene)-[:MEMBER_OF]->(c:Complex {id: $complex})
WITH DISTINCT g
MATCH (s:Strain)-[p:PERTURBS]->(g)
WITH s, count(p) AS n_inside
WHERE n_inside = s.n_perturbed OR NOT $every
RETURN s.id AS strain, s.n_perturbed AS n_perturbed, n_inside
ORDER BY strain
