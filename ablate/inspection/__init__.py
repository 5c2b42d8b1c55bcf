"""Trained networks reopened: what their layers compute and which classes they confuse."""
