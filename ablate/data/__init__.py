"""Data sets: find and read their files, and make the tensors on which runs train."""
