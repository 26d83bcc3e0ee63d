"""Tools for developers; they are not part of the package that users install."""
