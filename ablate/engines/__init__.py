"""Engines: a plain torch loop, and three faster ways to train a run. Tests compare them with the loop."""
