"""Faults on purpose: kills at random moments, many starts and stops, viewers closed during a run."""
