"""Engine: how a network runs over the genome of every strain of a batch."""
