"""Compare ablate's training speed on this machine with the loop of Dive into Deep Learning (D2L)."""
