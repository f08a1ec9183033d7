"""Plan, search, encode, decode, measure, store."""
