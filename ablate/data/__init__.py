"""Data sets: where their files come from, and the tensors that runs train on."""
