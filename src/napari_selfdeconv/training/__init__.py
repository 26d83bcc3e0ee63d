"""Training of the network on one image."""
