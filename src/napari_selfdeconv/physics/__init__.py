"""The forward model: blur, border, noise."""
