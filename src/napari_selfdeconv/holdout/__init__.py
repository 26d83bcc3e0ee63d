"""Held-out pixels: chosen, replaced, and used to choose a setting."""
