"""Engines: the plain torch loop, and three faster ways to train a run, which are tested against the loop."""
