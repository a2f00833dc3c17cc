// Embeddings of the genes in a cohort: the vectors of both windows of every gene that is perturbed in
// a strain of a study.
//
// $study      the cohort's study
// $phenotype  fitness, expression or morphology
// $model      the sequence model
//
// Gives: gene, side (upstream or downstream), window (its id), vector.
// :param study => "kemmeren2014"
// :param phenotype => "expression"
// :param model => "kmer"
MATCH (u:Study {id: $study})<-[:FROM_STUDY]-(e:Experiment)
WHERE e.phenotype = $phenotype
MATCH (e)-[:TESTS]->(s:Strain)
WITH DISTINCT s
MATCH (s)-[:PERTURBS]->(g:Gene)
WITH DISTINCT g
MATCH (g)-[:HAS_CRE]->(w:CRE)
MATCH (w)-[:EMBEDDED_AS]->(v:Embedding)
WHERE v.model = $model
RETURN g.id AS gene, w.kind AS side, w.id AS window, v.vector AS vector
ORDER BY window
