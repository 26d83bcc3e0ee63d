"""Operations on arrays: scale, symmetry, tiles, and arrays larger than memory."""
