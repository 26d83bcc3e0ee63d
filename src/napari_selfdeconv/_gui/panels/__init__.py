"""Parts of a dock that show something."""
