"""Reopen trained networks: what their layers compute, and which classes they confuse."""
