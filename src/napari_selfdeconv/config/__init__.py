"""Settings: frozen, and checked where they are made."""
