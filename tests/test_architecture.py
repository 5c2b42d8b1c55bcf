"""The house keeps its floors: a package imports only from lower levels, and a few things happen in one place."""

import ast
import graphlib
import re
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ablate"
LEVELS = {
    name: int(level)
    for level, name in re.findall(r"(?m)^\| (\d+) \| `(\w+)` \|", (PACKAGE / "README.md").read_text())
}
"""Level by package or leaf module, as the table in ablate/README.md has it: the one place that says so."""
CONSUMERS = ("stats", "figures", "report")
"""What reads tables. It meets what makes them only at the records, the study and the data sets' facts."""
MEETING_PLACES = {"errors", "formatting", "metrics", "data.datasets", "study", "records"}
PRODUCERS_ONLY = {
    "records.record",
    "records.optuna_trials",
    "records.sqlite_record",
    "records.postgresql_record",
}
ONLY = {
    "ruamel": {"study"},
    "yaml": {"judging"},
    "tensorboard": {"judging"},
    "mlflow": {"judging"},
    "starlette": {"explore"},
    "uvicorn": {"explore"},
    "optuna": {"records", "search", "judging", "cli"},
    "seaborn": {"figures"},
    "matplotlib": {"figures", "api"},
    "rich": {"cli"},
    "typer": {"cli"},
    "torchvision": {"data"},
    "datasets": {"data"},
    "huggingface_hub": {"data"},
    "jinja2": {"report"},
    "scikit_posthocs": {"stats", "figures"},
    "ray": {"execution"},
}
"""Packages that may import a library."""
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 310, 60


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__") or "__init__"


FILES = {name_of(path): path for path in PACKAGE.rglob("*.py") if name_of(path) != "__init__"}


def package_of(name: str) -> str:
    return name.partition(".")[0]


def parse(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text())


@cache
def imports_of(name: str) -> frozenset[str]:
    """Every module a file imports, those inside functions too; of `from a import b` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(parse(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def ours(name: str) -> set[str]:
    """The modules of ablate that a file imports, each by the longest name that is a module."""
    found = {found.removeprefix("ablate.") for found in imports_of(name)} & set(FILES)
    return {one for one in found - {name} if not any(other.startswith(f"{one}.") for other in found)}


def test_every_package_has_its_level() -> None:
    assert {package_of(name) for name in FILES} == set(LEVELS)


@pytest.mark.parametrize("name", FILES)
def test_a_package_imports_only_from_lower_levels(name: str) -> None:
    own = package_of(name)
    outside = {package_of(found) for found in ours(name)} - {own}
    assert not [found for found in outside if LEVELS[found] >= LEVELS[own]]


def test_no_modules_import_each_other_in_a_circle() -> None:
    graphlib.TopologicalSorter({name: ours(name) for name in FILES}).prepare()


@pytest.mark.parametrize("name", [name for name in FILES if package_of(name) in CONSUMERS])
def test_what_reads_tables_meets_what_makes_them_only_there(name: str) -> None:
    allowed = MEETING_PLACES | {*CONSUMERS}
    strange = {found for found in ours(name) if found not in allowed and package_of(found) not in allowed}
    assert not strange
    assert not ours(name) & PRODUCERS_ONLY
    assert not any(found.split(".")[0] == "torch" for found in imports_of(name))


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_imported_in_its_one_place(library: str) -> None:
    found = {package_of(name) for name in FILES if any(f.split(".")[0] == library for f in imports_of(name))}
    assert found == ONLY[library]


@pytest.mark.parametrize(
    "name", sorted(name for name in FILES if package_of(name) not in ("cli", "__main__"))
)
def test_only_the_command_line_prints_or_exits(name: str) -> None:
    tree = parse(name)
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"print", "exit", "quit", "input"}


def test_no_file_outgrows_a_reader() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in FILES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_function_outgrows_a_screen() -> None:
    functions = {
        f"{name}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name in FILES
        for node in ast.walk(parse(name))
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: lines for name, lines in functions.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}
