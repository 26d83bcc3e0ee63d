"""All that a graphics card has to show, in one command of at most eight minutes."""
