"""This machine's training speed compared with the training loop of Dive into Deep Learning (D2L)."""
