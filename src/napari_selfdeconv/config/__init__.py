"""Settings. They are frozen, and checked when they are made."""
