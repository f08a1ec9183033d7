"""Numbers only: loading, BD-rate, statistics, tables."""
