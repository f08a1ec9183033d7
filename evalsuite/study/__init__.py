"""Studies with people: making them, and learning from their votes which metric to gate on."""
