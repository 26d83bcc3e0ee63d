"""Measurement of the memory of a run."""
