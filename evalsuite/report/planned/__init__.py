"""Pages of plans: what an audience will need."""
