"""genograph: a graph database of a genome and its perturbation experiments, and models on it."""
