"""The machine: device, precision and memory."""
