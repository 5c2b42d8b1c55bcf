"""The Python packages that ablate needs: which the kit carries, and which it expects on the machine."""

from importlib.metadata import PackageNotFoundError, version

PYTHON = (3, 12)
"""The machine's Python. Carried wheels are made for it."""

CARRIED = {
    "alembic": "1.20.1",
    "annotated-types": "0.8.0",
    "colorlog": "6.12.0",
    "mako": "1.4.3",
    "optuna": "5.0.0",
    "platformdirs": "4.14.8",
    "pydantic": "2.14.4",
    "pydantic-core": "2.50.5",
    "ruamel-yaml": "0.19.1",
    "sqlalchemy": "2.1.9",
    "tenacity": "9.2.1",
    "tqdm": "4.70.1",
    "typing-inspection": "0.4.5",
}
"""Name and version of each wheel. pip takes no dependencies along, so every one has its own line."""

EXPECTED = (
    "filelock",
    "hypothesis",
    "jinja2",
    "markupsafe",
    "numpy",
    "packaging",
    "pandas",
    "pillow",
    "psutil",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "pyyaml",
    "rich",
    "scikit-learn",
    "scipy",
    "seaborn",
    "statsmodels",
    "torch",
    "typer",
    "typing-extensions",
)
"""Packages that a machine for training with torch has.

torchvision is not among them. ablate reads Fashion-MNIST and MNIST without it, and uses it for downloads and for
other data sets only.
"""


def find_versions() -> dict[str, str | None]:
    """Find the version of each package in this Python. None: the package is missing."""
    found: dict[str, str | None] = {}
    for name in sorted([*CARRIED, *EXPECTED]):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
