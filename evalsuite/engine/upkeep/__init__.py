"""Upkeep of results stores: checked, repaired, merged, pruned, exported and imported."""
