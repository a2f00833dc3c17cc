"""Models: one file a model, and the statistics and integer plans that they share."""
