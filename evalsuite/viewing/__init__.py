"""The frames of a run, decoded again from its store: stills that are exact, and clips that browsers play."""
