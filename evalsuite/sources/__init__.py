"""Datasets, readers and colour."""
