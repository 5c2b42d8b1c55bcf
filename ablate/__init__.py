"""Measure whether a choice in a small image network matters, by how much, and what it costs."""

__version__ = "0.1.0"
__all__ = ["AblateError", "JudgedRuns", "Plan", "Report", "Study", "judge", "load", "plan", "run"]

_PLACES = {
    "AblateError": "ablate.errors",
    "JudgedRuns": "ablate.api.judge",
    "Plan": "ablate.api.plan",
    "Report": "ablate.api.report",
    "Study": "ablate.api.study",
    "judge": "ablate.api.judge",
    "load": "ablate.api.report",
    "plan": "ablate.api.plan",
    "run": "ablate.api.run",
}
"""Maps each public name of ablate to the module that defines it.

A module is imported when its name is first used, because importing torch is slow. Type checkers read the
names from `__init__.pyi`.
"""


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'ablate' has no attribute {name!r}")
    # importlib is imported here and not at the top of this file. When `python -m ablate` executes the top of
    # this file, the current folder comes first in `sys.path`. If that folder contained a file importlib.py,
    # Python would import this file instead of its own module.
    from importlib import import_module

    found: object = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
