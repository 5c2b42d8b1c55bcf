"""Identify the code of a user's network: all files and packages that determine the network's behaviour."""

import ast
import functools
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType
from typing import Any

from ablate.models.own import find_module, is_library

MARKS_OF_REPORT = ("study.db", "environment.json")
"""A folder that contains one of these files is a report folder. Its files change while a study runs."""
LONGEST_NAME = 1_000
"""A string in the code that is longer than this cannot be the path of a file."""
MOST_FILES_IN_FOLDER = 1_000
"""If a string in the code is the path of a folder with more files than this, the folder is ignored."""
RECORDED_ELSEWHERE = ("torch", "ablate")
"""Packages that are left out here, because every report folder records their versions."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """The files and packages that determine the behaviour of a user's network."""

    sha256: str
    """The checksum of all files and of the packages' versions. If it changes, the network counts as new."""
    modules_sha256: str
    """The checksum of the Python files. They must not change while a study runs. Other files can change."""
    files: tuple[str, ...]
    """The paths of the files, relative to the folders in which Python finds their modules."""
    packages: tuple[str, ...]
    """The installed packages that the code imports, with their versions: `timm 1.0.9`."""


@functools.cache  # a process does not import code again, even if a file changes
def identify(model: str, function: Callable[..., Any]) -> Code:
    """Identify the code of a user's network.

    The code consists of four parts:

    - all files of the package that defines the network
    - all files of the local packages that the code imports
    - the files whose paths are strings in the code
    - the versions of the installed packages that the code imports
    """
    own_package = find_module(model).partition(".")[0]
    waiting = {own_package, *(name.partition(".")[0] for name in _list_modules_of(function))}
    seen = {*sys.stdlib_module_names, *RECORDED_ELSEWHERE}
    files: dict[Path, str] = {}
    packages: set[str] = set()
    while waiting := waiting - seen:
        top = waiting.pop()
        seen.add(top)
        places = _find_places(top)
        if places and all(map(is_library, places)):
            packages.add(top)
            if top != own_package:  # the version identifies the code of an installed package
                continue
        found = {
            path: path.relative_to(place.parent).as_posix()
            for place in places
            for path in ([place] if place.is_file() else _walk(place))
        }
        files |= found
        for path in [path for path in found if path.suffix == ".py"]:
            tree = _parse(path)
            if tree is not None:
                named = _find_named_files(tree, path.parent)
                files |= {one: one.name for one in named if one not in files}
                waiting |= {*_list_imports(tree), *_find_named_modules(tree)}
    versions = sorted(_list_versions(packages))
    together = hashlib.sha256("\n".join(versions).encode())
    modules = hashlib.sha256()
    listed = sorted((name, path) for path, name in files.items())
    for name, path in listed:
        content = path.read_bytes()
        for checksum in (together, modules) if path.suffix == ".py" else (together,):
            checksum.update(f"\0{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
            checksum.update(content)
    return Code(
        sha256=together.hexdigest(),
        modules_sha256=modules.hexdigest(),
        files=tuple(name for name, _ in listed),
        packages=tuple(versions),
    )


def _list_modules_of(function: Any) -> set[str]:
    """List the modules that define a callable and the objects that it wraps.

    For example, a partial or a decorated function wraps a function, and a method belongs to an object.
    """
    found: set[str] = set()
    left, seen = [function], set()
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        inner = [getattr(part, name, None) for name in ("func", "__wrapped__", "__func__", "__self__")]
        left += [one for one in inner if one is not None and not isinstance(one, ModuleType)]
        kinds = part.__mro__ if isinstance(part, type) else type(part).__mro__
        named = [getattr(part, "__module__", None), *(kind.__module__ for kind in kinds)]
        found |= {name for name in named if isinstance(name, str)}
    return {name for name in found if name.partition(".")[0] not in (*sys.stdlib_module_names, "torch")}


def _find_places(top: str) -> list[Path]:
    """Find the file of a module or the folders of a package, without importing the module or package.

    Return an empty list if nothing is found. `top` must not be inside another package, because Python would
    import that package to find `top`.
    """
    try:
        spec = getattr(sys.modules.get(top), "__spec__", None) or importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):  # the code can import a package that is not installed
        return []
    if spec is None:
        return []
    places = spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
    return [path for path in map(Path, places) if path.exists()]


def _walk(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield all files below a folder. Skip report folders and folders that contain a report folder."""
    for entry in sorted(folder.iterdir()):
        if entry.name == "__pycache__" or entry.name.startswith("."):
            continue
        if entry.is_dir():
            # If a link to a folder above itself were followed, the walk would never end.
            if entry.resolve() not in (folder.resolve(), *above) and not _has_reports(entry):
                yield from _walk(entry, (*above, folder.resolve()))
        elif entry.is_file():
            yield entry


def _has_reports(folder: Path) -> bool:
    """Whether a folder is a report folder or contains one."""
    return any((folder / mark).exists() or next(folder.glob(f"*/{mark}"), None) for mark in MARKS_OF_REPORT)


def _parse(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a template or a file for another version of Python
        return None


def _list_imports(tree: ast.Module) -> Iterator[str]:
    """List the top-level packages that a file imports. Skip relative imports, which stay in its package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _list_texts(tree: ast.Module) -> Iterator[str]:
    """List the strings in the code, because they can name files. The values in an f-string become `*`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _find_named_files(tree: ast.Module, folder: Path) -> Iterator[Path]:
    """Find files that the code names: a string in the code is the path of the file.

    A path is absolute, or relative to the folder of the code or to the current folder.
    """
    for text in _list_texts(tree):
        if not re.fullmatch(r"(?=.*[\w])[^\0\n:|<>?\[\]]{1,200}", text) or text.startswith(("/", "~")):
            if text.startswith("/") and len(text) < LONGEST_NAME and Path(text).is_file():
                yield Path(text)
            continue
        for near in dict.fromkeys([folder, Path.cwd()]):
            for found in _match(near, text):
                if found.is_file():
                    yield found
                elif found.is_dir() and not (
                    folder.is_relative_to(found) or Path.cwd().is_relative_to(found)
                ):
                    below = [] if _has_reports(found) else list(_walk(found))
                    yield from below if len(below) <= MOST_FILES_IN_FOLDER else ()


def _match(folder: Path, text: str) -> list[Path]:
    """List the files and folders below `folder` that match `text`, which can be any string of the code."""
    if not text.strip("./*") or "**" in text:
        return []
    try:
        return sorted(folder.glob(text.rstrip("/")))
    except (ValueError, NotImplementedError, OSError):  # the text is no pattern, or a folder is unreadable
        return []


def _find_named_modules(tree: ast.Module) -> Iterator[str]:
    """Find local packages that a string in the code names, because importlib can import them by name."""
    for text in _list_texts(tree):
        top = text.partition(".")[0]
        if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", text) and not all(
            map(is_library, _find_places(top))
        ):
            yield top


def _list_versions(packages: set[str]) -> Iterator[str]:
    distributions = packages_distributions() if packages else {}
    for package in packages:
        for distribution in sorted(set(distributions.get(package, ()))):
            yield f"{distribution} {version(distribution)}"
