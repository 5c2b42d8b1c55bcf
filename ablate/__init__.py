"""Does this choice in a small image network matter, by how much, and what does it cost?"""

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
"""Maps each public name to its module. Importing torch is slow, so a module is imported only when needed.

Type checkers read the names from `__init__.pyi`.
"""


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'ablate' has no attribute {name!r}")
    # Not imported at the top of this file. `python -m ablate` executes the top while the current folder comes
    # first in `sys.path`, and a file importlib.py in that folder would hide Python's module.
    from importlib import import_module

    found: object = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
