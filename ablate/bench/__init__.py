"""Compare ablate's training speed on this machine with the training loop of Dive into Deep Learning (D2L)."""
