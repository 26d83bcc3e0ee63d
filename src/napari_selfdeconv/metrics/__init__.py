"""Measures of the quality of a result, with and without a truth."""
