"""The classical methods: one registry, and a file for the mathematics of each."""
