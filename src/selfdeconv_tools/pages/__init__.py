"""What the documentation shows that a program writes: tables from docs/data, plots, drawings, the gallery."""
