"""Whether a candidate is worse than a baseline: rules, verdicts, and what they rest on."""
