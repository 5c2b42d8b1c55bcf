"""Engines: the ways in which a run is trained."""
