"""What the manifest names besides the docks."""
