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
"""The module of each public name. A module is imported when its name is first used, because torch is slow.

Type checkers read `__init__.pyi`.
"""


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'ablate' has no attribute {name!r}")
    # Imported here, because `python -m ablate` imports this file while the current folder comes first. A file
    # importlib.py there would hide Python's module.
    from importlib import import_module

    found: object = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
