"""The generated parts of the documentation: tables from docs/data, plots, drawings, the gallery."""
