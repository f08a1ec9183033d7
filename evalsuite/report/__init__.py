"""Figures and pages, built from results alone."""
