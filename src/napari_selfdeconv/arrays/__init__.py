"""Arrays as such: scale, symmetry, tiles, and arrays larger than memory."""
