"""From a trained network to the result."""
