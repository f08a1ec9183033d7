"""The recipe that made the shipped weights: material, losses, stages, loop, validation."""
