"""How a codec is found, described and run."""
