"""Find and run users' own networks.

The option `--plugin` must allow the code of such a network, or an installed package must offer it by name.
"""

import importlib
import signal
import sys
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from ablate.data.by_torchvision import import_torchvision
from ablate.errors import ModelError, did_you_mean, format_error
from ablate.interruption import Interrupted
from ablate.seeds import seeded_streams
from ablate.torch_settings import keep_torch_settings

ENTRY_POINTS = "ablate.models"
"""Installed packages offer networks by name in this group of entry points."""
_allowed: list[str] = []
_OF_SHAPE = "let the network take `input_shape` and `classes`, or resize the images by recipe.input_size"
_ON_CPU = "remove device names and moves to a device from the code, because ablate moves the network itself"
REMEDIES = {
    "sparse gradients": "write sparse=False in the embedding",
    "params to be floating point": "use real parameters, such as two real ones for each complex one",
    **dict.fromkeys(
        ("with CUDA enabled", "NVIDIA driver", "on device meta", "meta tensor", "same device"), _ON_CPU
    ),
    "dtype": "images are float32, so keep the network in float32",
    "scalar type": "images are float32, so keep the network in float32",
    "does not require grad": "let the gradient pass from the output to the parameters",
    "more than 1 value per channel": "choose another batch_size",
    **dict.fromkeys(("channels", "shape", "size", "stack expects", "Dimension"), _OF_SHAPE),
}
"""Maps a text that torch's error messages contain to a remedy. If several texts fit, the first one counts."""
_LIBRARIES = tuple(
    str(Path(place).resolve())
    for place in (
        *(str(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(__file__).parents[1]),
    )
)
"""Folders with the code of Python, of installed packages and of ablate. They contain no user's own code."""


def allow(packages: Sequence[str]) -> None:
    """Allow studies to run the code of these packages or modules. They can also be in the current folder.

    A study file alone cannot run code, because the file can come from an untrusted person.
    """
    here = str(Path.cwd())
    for package in packages:
        if package not in _allowed:
            _allowed.append(package)
            if here not in sys.path:
                sys.path.append(here)


def list_allowed() -> tuple[str, ...]:
    """List the allowed packages. Another process can then `allow` the same packages."""
    return tuple(_allowed)


def find_callable(model: str, known: Sequence[str]) -> Callable[..., nn.Module]:
    """Find the callable that builds a network.

    `model` is `package.module:callable`, or a name that an installed package offers. The callable can also be
    an attribute of an object in the module: `package.module:object.method`.

    Raises:
        ModelError: the callable is not allowed, does not exist, or cannot be called.
    """
    if ":" not in model:
        offered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        if model not in offered:
            told = did_you_mean(model, [*known, *offered])
            raise ModelError("model", f"'{model}' is not known: {told}")
        return _load(model, offered[model].load)
    module, _, name = model.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise ModelError("model", f"'{model}' is not of the form package.module:callable")
    if not any(module == package or module.startswith(f"{package}.") for package in _allowed):
        package = module.partition(".")[0]
        raise ModelError(
            "model",
            f"'{model}' is code, and a study file cannot run code on its own: "
            f"allow it with --plugin {package}",
        )
    return _load(model, lambda: _import_attribute(module, name))


def find_module(model: str) -> str:
    """Find the full name of the module that a model's name points to."""
    if ":" in model:
        return model.partition(":")[0]
    return next(point.module for point in entry_points(group=ENTRY_POINTS) if point.name == model)


def call_foreign(model: str, work: Callable[[], Any]) -> Any:
    """Run a user's code and return its result. Any exception becomes a ModelError with a one-line message.

    Afterwards, torch's settings are restored, because other networks train in the same process.
    """
    with keep_torch_settings():
        try:
            return work()
        except (ModelError, Interrupted):
            raise
        except KeyboardInterrupt as error:
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                raise  # a person pressed Ctrl-C
            raise _explain(model, error) from None
        except BaseException as error:  # noqa: BLE001  # a user's code can raise anything, or exit
            raise _explain(model, error) from None


def _explain(model: str, error: BaseException) -> ModelError:
    told = f"{format_error(error)}{locate_in_own_code(error)}{_find_remedy(error)}"
    return ModelError("model", f"'{model}' failed with {told}")


def _find_remedy(error: BaseException) -> str:
    """Find the remedy for an error that torch raises in a network. Return text to append to the message."""
    if isinstance(error, RuntimeError | ValueError | IndexError | AssertionError):
        for word, remedy in REMEDIES.items():
            if word in format_error(error):
                return f": {remedy}"
    return ""


def is_library(path: str | Path) -> bool:
    """Whether a file belongs to Python, to an installed package, or to ablate itself."""
    return str(Path(path).resolve()).startswith(_LIBRARIES)


def _import_attribute(module: str, name: str) -> Any:
    try:
        found: Any = _import_module(module)
    except RuntimeError as error:
        if "torchvision" not in format_error(error):
            raise
        import_torchvision()  # makes torchvision's import work with a CPU-only build of torch
        found = _import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def locate_in_own_code(error: BaseException) -> str:
    """Return the line of the user's own code that raised the error, as the text ` (file, line n)`.

    Return an empty text if no user's own code was running.
    """
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and not is_library(frame.filename)
    ]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _import_module(module: str) -> ModuleType:
    """Import a module. A module in the current folder hides an installed package of the same name."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(here)


def _load(model: str, load: Callable[[], Any]) -> Callable[..., nn.Module]:
    # Python runs a module's code only at the first import, so the generators are seeded only then. Every run
    # calls this function several times, and seeding takes longer than finding an imported module.
    def load_with_seed() -> Any:
        with seeded_streams(0, "import"):  # a module can draw random numbers when it is imported
            return load()

    known = find_module(model) in sys.modules
    found = call_foreign(model, load if known else load_with_seed)
    if isinstance(found, nn.Module):
        raise ModelError(
            "model",
            f"'{model}' is a network that is built already: name the function or class that builds it",
        )
    if not callable(found):
        raise ModelError("model", f"'{model}' cannot be called: name a function or a class")
    return found
