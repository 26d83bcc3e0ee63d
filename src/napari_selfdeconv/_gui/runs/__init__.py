"""What happens when a button starts a computation."""
