"""The house keeps its floors: a file imports only from the files above it, and a few things happen in one place."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ablate"
FLOORS = (
    "errors",
    "interruption",
    "processes",
    "seeds",
    "datasets",
    "spec",
    "study",
    "models.layers",
    "models.own",
    "models.stack",
    "models.lenet",
    "models.mlp",
    "models.alexnet",
    "models.vgg",
    "models.nin",
    "models.googlenet",
    "models",
    "runs",
    "grid",
    "arms",
    "space",
    "results",
    "views",
    "sources",
    "data",
    "timing",
    "engines.augmentation",
    "engines.training",
    "engines.loop",
    "engines.lanes_library",
    "engines.lanes_tables",
    "engines.lanes",
    "engines.optimizers",
    "engines.replicas",
    "engines.cohort",
    "engines",
    "tuning",
    "pareto",
    "exploration",
    "folder",
    "record",
    "shared",
    "search",
    "generations",
    "execution",
    "workers",
    "cluster",
    "throughput",
    "tracing",
    "trained",
    "inside",
    "phases",
    "intervals",
    "contrasts",
    "power",
    "speeds",
    "stats",
    "phrases",
    "price",
    "evidence",
    "points",
    "panels",
    "figures.canvas",
    "figures.compared",
    "figures.trained",
    "figures.costs",
    "figures.inside",
    "figures",
    "audit",
    "verdicts",
    "wording",
    "pages",
    "report",
    "index",
    "compare",
    "progress",
    "doctor",
    "explore",
    "explore.reading",
    "explore.session",
    "explore.answers",
    "explore.page",
    "explore.saved",
    "explore.server",
    "activations",
    "bench.peer",
    "bench.contenders",
    "bench.rounds",
    "bench.standings",
    "bench.whole",
    "bench",
    "export",
    "dashboard",
    "console",
    "tools",
    "__main__",
)
"""From the top down; a file may import from those before it."""
CONSUMERS = tuple(
    name for name in FLOORS[FLOORS.index("intervals") : FLOORS.index("progress")] if name != "price"
)
ONLY = {
    "ruamel": {"study"},
    "starlette": {"explore.server"},
    "uvicorn": {"explore.server"},
    "optuna": {"record", "shared", "search", "dashboard"},
    "seaborn": {"figures.canvas", "figures.compared", "figures.trained", "figures.costs", "figures.inside"},
    "matplotlib": {
        "figures",
        "figures.canvas",
        "figures.compared",
        "figures.trained",
        "figures.costs",
        "figures.inside",
    },
    "rich": {"progress", "console", "tools", "__main__"},
    "typer": {"console", "tools", "__main__"},
    "torchvision": {"sources"},
    "jinja2": {"pages"},
    "ray": {"cluster"},
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__") or "__init__"


FILES = {name_of(path): path for path in PACKAGE.rglob("*.py") if name_of(path) not in ("__init__", "ablate")}


def imports_of(name: str, *, lazy: bool = True) -> set[str]:
    """Every module a file imports; `lazy=False` leaves out those inside functions."""
    tree = ast.parse(FILES[name].read_text())
    nodes = ast.walk(tree) if lazy else tree.body
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(name: str, *, lazy: bool = True) -> set[str]:
    return {found.removeprefix("ablate.") for found in imports_of(name, lazy=lazy)} & set(FILES)


def test_every_file_has_its_floor() -> None:
    assert set(FILES) == set(FLOORS)


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_only_from_the_floors_above(name: str) -> None:
    assert not [found for found in ours(name) if FLOORS.index(found) >= FLOORS.index(name)]


@pytest.mark.parametrize("name", CONSUMERS)
def test_what_reads_tables_meets_what_makes_them_only_there(name: str) -> None:
    allowed = {"errors", "spec", "study", "results", "views", "folder", "pareto", *CONSUMERS}
    assert ours(name) <= allowed
    assert not any(found.split(".")[0] == "torch" for found in imports_of(name))


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_imported_in_its_one_place(library: str) -> None:
    assert {name for name in FILES if any(f.split(".")[0] == library for f in imports_of(name))} == ONLY[
        library
    ]


@pytest.mark.parametrize("name", sorted(set(FILES) - {"console", "tools", "__main__"}))
def test_only_the_command_line_prints_or_exits(name: str) -> None:
    tree = ast.parse(FILES[name].read_text())
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"print", "exit", "quit", "input"}


def test_no_file_outgrows_a_reader() -> None:
    long = {
        name: lines for name, path in FILES.items() if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
