"""Figures: for each a pure data step and a thin drawing."""
