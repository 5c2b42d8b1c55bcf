"""This machine's training speed beside the training loop of Dive into Deep Learning (D2L)."""
