"""Point spread functions: generated, measured, prepared and diagnosed."""
