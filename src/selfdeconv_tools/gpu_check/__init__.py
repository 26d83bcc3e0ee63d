"""The check of a graphics card, as one command of at most eight minutes."""
