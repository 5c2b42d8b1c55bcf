"""Code that changes. Runs of old and of new code are never in one table."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablate.models import own_code
from ablate.models.own import find_callable
from ablate.models.own_code import Code
from tests.faults.foreign_code import ForeignCode

NET = "from torch import nn\ndef net(width=8): return nn.Linear(784, width)\n"
PACKAGES = ("homemade", "homehelp", "homelib")
FILES = {
    "homemade/__init__.py": "",
    "homemade/nets.py": f"{NET}from homemade.parts import size\nfrom .sub import other\nimport homehelp\n",
    "homemade/parts.py": "size = 3\n",
    "homemade/sub/__init__.py": "from .other import value as other\n",
    "homemade/sub/other.py": "value = 3\n",
    "homemade/sub/unused.py": "value = 4\n",
    "homemade/odd.py": "texts = ['a**b', '**', '../..', '/', '~', '[', 'x' * 999, '\\0', '%s/*', 'a//b', '...']\n",
    "homemade/widths.json": "[3, 4]",
    "homehelp.py": (
        "import importlib\nimport json\nfrom pathlib import Path\n"
        "def late():\n    import homelib\n    return homelib\n"
        "table = json.loads((Path(__file__).parent / 'tables' / 'sizes.json').read_text())\n"
    ),
    "homelib.py": "value = 3\n",
    "tables/sizes.json": "[1, 2]",
    "unrelated.py": "value = 3\n",
    "notes.txt": "nothing\n",
}


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForeignCode]:
    made = ForeignCode(tmp_path, monkeypatch)
    for name, text in FILES.items():
        made.write(name, text)
    yield made
    forget()


def forget() -> None:
    """What a new process does: it has imported none of the modules."""
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]
    importlib.invalidate_caches()
    own_code.identify.cache_clear()


def identify(model: str = "homemade.nets:net") -> Code:
    forget()
    return own_code.identify(model, find_callable(model, []))


DECIDE = [name for name in FILES if name not in ("unrelated.py", "notes.txt")]


@pytest.mark.parametrize("changed", DECIDE)
def test_any_change_of_what_a_network_is_made_of_makes_it_another_network(
    people: ForeignCode, changed: str
) -> None:
    """Its package, local imports, also late ones, and files that the code names belong to it.

    - https://github.com/joblib/joblib/issues/1287: a changed helper function gives old results. Mended.
    - https://github.com/joblib/joblib/issues/1621: a changed subroutine is not noticed. Mended.
    - https://github.com/joblib/joblib/issues/59: results depend on another function's code. Mended.
    - https://github.com/joblib/joblib/pull/60: results should depend on other functions, too. Mended.
    - https://github.com/streamlit/streamlit/pull/2798: a change of an inner function is not noticed. Mended.
    - https://github.com/pipefunc/pipefunc/issues/964: results of an edited function are old. Right before.
    - https://github.com/streamlit/streamlit/issues/1797: edited code in the current folder counts as a library. Mended.
    - https://github.com/zenml-io/zenml/issues/1011: a function that another one calls is not noticed. Mended.
    - https://github.com/python-cachier/cachier/issues/88: edited code loads the old result. Right before.
    - https://github.com/blockwork-eda/blockwork/pull/96: imports inside functions are no part of the hash. Mended.
    """
    before = identify().sha256
    separator = " " if changed.endswith(".json") else "# changed\n"
    people.write(changed, FILES[changed] + separator)
    assert identify().sha256 != before


@pytest.mark.parametrize(
    "changed", ["unrelated.py", "notes.txt", "homemade/__pycache__/x.pyc", "homemade/.hidden"]
)
def test_a_file_that_decides_nothing_changes_nothing(people: ForeignCode, changed: str) -> None:
    """Runs are not made anew without need.

    - https://github.com/joblib/joblib/pull/680: results are thrown away because a line moved. Right before.
    """
    before = identify().sha256
    people.write(changed, "changed")
    assert identify().sha256 == before


def test_a_report_folder_inside_a_package_is_not_its_code(people: ForeignCode) -> None:
    before = identify().sha256
    people.write("homemade/reports/mine/study.db", "a run changes this")
    assert identify().sha256 == before


def test_a_folder_of_reports_inside_a_package_is_not_its_code(people: ForeignCode) -> None:
    people.write("homemade/out/mine/environment.json", "a run changes this")
    before = identify().sha256
    people.write("homemade/out/index.html", "and this")
    assert identify().sha256 == before


def test_a_file_that_a_run_writes_changes_no_module(people: ForeignCode) -> None:
    before = identify()
    people.write("homemade/log.txt", "imported once more")
    assert identify().sha256 != before.sha256
    assert identify().modules_sha256 == before.modules_sha256


def test_a_linked_folder_of_a_package_belongs_to_it(people: ForeignCode) -> None:
    people.write("elsewhere/part.py", "value = 1\n")
    (people.folder / "homemade" / "linked").symlink_to(people.folder / "elsewhere")
    (people.folder / "homemade" / "round").symlink_to(people.folder / "homemade")
    before = identify().sha256
    people.write("elsewhere/part.py", "value = 2\n")
    assert identify().sha256 != before


def test_a_new_and_a_removed_file_of_the_package_change_it(people: ForeignCode) -> None:
    before = identify().sha256
    people.write("homemade/more.py", "value = 1\n")
    added = identify().sha256
    (people.folder / "homemade/more.py").unlink()
    assert added != before
    assert identify().sha256 == before


def test_what_was_hashed_is_listed(people: ForeignCode) -> None:
    code = identify()
    assert {"homemade/nets.py", "homemade/sub/unused.py", "homehelp.py", "homelib.py"} <= set(code.files)
    assert not any("unrelated" in name for name in code.files)
    assert not any(name.startswith("torch ") for name in code.packages)


def test_the_version_of_an_imported_package_belongs_to_the_network(
    people: ForeignCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update of an installed package that the network imports makes it another network."""
    people.write("homelib.py", "import yaml_like\n")
    monkeypatch.setattr(own_code, "is_library", lambda path: "site" in Path(path).parts)
    people.write("site/yaml_like.py", "value = 1\n")
    monkeypatch.syspath_prepend(str(people.folder / "site"))
    info = people.folder / "site" / "yaml_like-1.0.dist-info"

    def install(version: str) -> None:
        people.write(
            f"site/{info.name}/METADATA", f"Metadata-Version: 2.1\nName: yaml-like\nVersion: {version}\n"
        )
        people.write(f"site/{info.name}/top_level.txt", "yaml_like\n")

    install("1.0")
    before = identify()
    assert "yaml-like 1.0" in before.packages
    install("1.1")
    importlib.invalidate_caches()
    assert identify().sha256 != before.sha256


WRAPPED = {
    "partial": "import functools\nfrom homehelp2 import build\nnet = functools.partial(build, width=3)\n",
    "decorated": "from homehelp2 import deco\nfrom torch import nn\n@deco\ndef net(width=3): return nn.Linear(9, width)\n",
    "subclass": "from homehelp2 import Base\nclass net(Base): pass\n",
    "re-exported": "from homehelp2 import build as net\n",
    "star": "from homehelp2 import *\nnet = build\n",
    "by name": "import importlib\nnet = importlib.import_module('homehelp2').build\n",
}


@pytest.mark.parametrize("code", WRAPPED.values(), ids=WRAPPED)
def test_code_behind_a_wrapper_belongs_to_the_network(people: ForeignCode, code: str) -> None:
    """Partial functions, decorators, base classes and names from elsewhere lead to their modules."""
    helper = (
        "import functools\nfrom torch import nn\n"
        "def build(width=3): return nn.Linear(9, width)\n"
        "def deco(f):\n    @functools.wraps(f)\n    def g(*a, **k): return f(*a, **k)\n    return g\n"
        "class Base(nn.Linear):\n    def __init__(self, width=3): super().__init__(9, width)\n"
    )
    people.write("homelib.py", code)
    people.write("homehelp2.py", helper)
    before = identify("homelib:net").sha256
    people.write("homehelp2.py", helper + "# changed\n")
    sys.modules.pop("homehelp2")
    assert identify("homelib:net").sha256 != before
    sys.modules.pop("homehelp2", None)


def test_a_base_class_in_a_library_counts_with_its_version(
    people: ForeignCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that derives from one of a library, such as torchvision, does not hash the whole library."""
    people.write("site/library_like.py", "from torch import nn\nclass Base(nn.Linear): pass\n")
    people.write(
        "site/library_like-1.0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: library-like\nVersion: 1.0\n",
    )
    people.write("site/library_like-1.0.dist-info/top_level.txt", "library_like\n")
    monkeypatch.setattr(own_code, "is_library", lambda path: "site" in Path(path).parts)
    monkeypatch.syspath_prepend(str(people.folder / "site"))
    people.write("homelib.py", "from library_like import Base\nclass net(Base): pass\n")
    code = identify("homelib:net")
    assert code.files == ("homelib.py",)
    assert code.packages == ("library-like 1.0",)


def test_a_process_keeps_the_identity_of_the_code_that_it_has_imported(people: ForeignCode) -> None:
    before = identify()
    people.write("homemade/parts.py", "size = 4\n")
    assert own_code.identify("homemade.nets:net", find_callable("homemade.nets:net", [])) is before
