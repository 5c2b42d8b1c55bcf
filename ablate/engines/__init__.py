"""How runs are trained. One engine so far: the plain loop, which trains anything."""

from ablate.engines.loop import train

__all__ = ["train"]
