"""Trained networks at work, layer by layer, in a browser: the page that `ablate explore` serves or saves."""
