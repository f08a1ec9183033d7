"""Published rate-quality data, read from the formats that the field publishes in and kept as an anchor, not re-run."""
