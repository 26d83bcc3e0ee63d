"""Parts of a dock that ask for settings."""
