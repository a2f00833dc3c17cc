"""The genome model: topology, plans, engines, heads, tasks and the fit of one member."""
