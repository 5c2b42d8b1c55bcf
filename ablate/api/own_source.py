"""Turn a network that is defined in a notebook or a script into a module that other processes can import.

A worker process cannot see the code of a notebook. So the source of the network's function or class is
written to a file, together with everything in the notebook that this source uses. The report folder keeps the
file, so the study can be run again later. A pickle is not used, because it would hide the source, and would
not work with another version of Python.
"""

import ast
import builtins
import hashlib
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ablate.errors import ModelError
from ablate.records.files import write_whole

PLAIN = (type(None), bool, int, float, complex, str, bytes)
"""The types of values that can be written as source code by `repr`."""


@dataclass(frozen=True)
class OwnSource:
    """The source of a module that defines one network."""

    module: str
    """The name of the module. The name contains a hash of the source, so changed code has another name."""
    text: str
    name: str
    """The name of the function or class in the module."""

    @property
    def model(self) -> str:
        """The network's name in a study: `module:name`."""
        return f"{self.module}:{self.name}"

    def write(self, folder: Path) -> None:
        """Write the module to a folder, and add the folder to `sys.path`.

        Then this process and its workers can import the module.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.save(folder)
        if str(folder.resolve()) not in sys.path:
            sys.path.append(str(folder.resolve()))

    def save(self, folder: Path) -> None:
        """Write the module to a folder that exists."""
        write_whole(folder / f"{self.module}.py", self.text.encode())


def is_importable(network: Callable[..., Any]) -> bool:
    """Whether another process can import this function or class by its module and name."""
    module = getattr(network, "__module__", None)
    return module not in (None, "__main__") and "<locals>" not in getattr(network, "__qualname__", "<locals>")


def extract_source(network: Callable[..., Any]) -> OwnSource:
    """Collect the source of a function or class, and of everything that it uses from its notebook.

    Raises:
        ModelError: the source cannot be read, or uses a value that cannot be written as source.
    """
    name = getattr(network, "__name__", None)
    if name is None or not isinstance(network, FunctionType | type):
        kind = type(network).__name__
        raise ModelError("model", f"a {kind} has no source of its own: give a function or a class")
    if "<locals>" in network.__qualname__ or name == "<lambda>":
        raise ModelError(
            "model", f"{network.__qualname__} is defined inside a function: define it at the top level"
        )
    parts: dict[str, str] = {}
    _collect(name, network, parts, set())
    text = "\n\n\n".join(parts.values()) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return OwnSource(module=f"{name.lower()}_{digest}", text=text, name=name)


def _collect(name: str, value: Any, parts: dict[str, str], begun: set[str]) -> None:
    """Add the source that defines `name` to `parts`, after the source of every name that it uses.

    `begun` contains the names that were already added or are being added.
    """
    if name in begun:
        return
    begun.add(name)
    if isinstance(value, ModuleType):
        imported = value.__name__
        parts[name] = f"import {imported}" if name == imported else f"import {imported} as {name}"
    elif isinstance(value, FunctionType | type) and value.__module__ == "__main__":
        source = _read_source(value)
        for used, found in _find_globals(source, value):
            _collect(used, found, parts, begun)
        alias = "" if value.__name__ == name else f"\n\n\n{name} = {value.__name__}"
        parts[name] = source + alias
    elif getattr(value, "__module__", None) and getattr(value, "__qualname__", None):
        parts[name] = f"from {value.__module__} import {value.__qualname__.partition('.')[0]} as {name}"
    elif _is_plain(value):
        parts[name] = f"{name} = {value!r}"
    else:
        raise ModelError(
            "model",
            f"the network uses {name}, a {type(value).__name__} of the notebook, which no other process can "
            f"see: pass {name} as a keyword, or move the network to a file of its own",
        )


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    return isinstance(value, PLAIN)


def _read_source(value: FunctionType | type) -> str:
    try:
        source = inspect.getsource(value) if isinstance(value, FunctionType) else _read_class(value)
    except (OSError, TypeError):
        raise ModelError(
            "model", f"the source of {value.__name__} cannot be read: move it to a file of its own"
        ) from None
    return textwrap.dedent(source).rstrip()


def _read_class(cls: type) -> str:
    """Read the source of a class.

    If a class is defined in a notebook, Python 3.11 does not know the file of the class. But Python knows the
    file in which the methods of the class are defined.
    """
    files = [part.__code__.co_filename for part in vars(cls).values() if isinstance(part, FunctionType)]
    if not files:
        return inspect.getsource(cls)
    lines = linecache.getlines(files[0])
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "".join(lines[first - 1 : node.end_lineno])
    raise OSError(cls.__name__)


def _find_globals(source: str, value: FunctionType | type) -> Iterator[tuple[str, Any]]:
    """Yield the names that the source uses from its notebook, with their values."""
    scope = value.__globals__ if isinstance(value, FunctionType) else vars(sys.modules[value.__module__])
    tables = [symtable.symtable(source, value.__name__, "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in sorted(table.get_symbols(), key=symtable.Symbol.get_name):
            outside = symbol.is_referenced() if table.get_type() == "module" else symbol.is_global()
            name = symbol.get_name()
            if outside and name != value.__name__ and name in scope and name not in vars(builtins):
                yield name, scope[name]
