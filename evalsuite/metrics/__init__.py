"""One file per metric or family."""
