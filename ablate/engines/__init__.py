"""Engines: three ways to train a run, all tested against the plain torch loop."""
