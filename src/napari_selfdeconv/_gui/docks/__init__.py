"""The three dock widgets."""
