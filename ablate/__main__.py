"""The entry point of `python -m ablate`."""

import atexit
import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line in a process with a fixed hash seed."""
    leaving = _Leaving()
    # If another program has imported ablate, the arguments of the process differ from `sys.argv`. ablate then
    # does not restart the process.
    if sys.orig_argv[len(sys.orig_argv) - len(sys.argv) + 1 :] == sys.argv[1:]:
        _fix_hash_seed()
        atexit.register(leaving)  # called last, because `atexit` calls its functions in reverse order
    from ablate.cli.main import main as run_command  # imported here, because this import takes 0.1 s

    try:
        run_command()
    except SystemExit as ended:
        leaving.code = ended.code
        raise


class _Leaving:
    """Ends the process at once, after all other functions that are registered with `atexit` have run.

    Without this class, Python would free a million objects one by one before it ends. That takes one sixth of
    the time of `import torch`.
    """

    def __init__(self) -> None:
        self.code: object = None
        """The exit code. While it is None, Python ends the process in its usual way."""

    def __call__(self) -> None:
        if isinstance(self.code, int):
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(self.code)


def _fix_hash_seed() -> None:
    """Start this process again with Python's hash seed 0, unless the process already has this seed.

    The order of a set of strings depends on the hash seed, and a user's network can depend on that order. The
    fixed seed makes the network the same in all processes: in the workers that train it, and in this process,
    which times and inspects it. Python reads the hash seed only when it starts, so this process must start
    again. On Windows, this process does not start again, and only the workers have the fixed seed.
    """
    fixed = not sys.flags.hash_randomization or os.environ.get("PYTHONHASHSEED") == "0"
    if not fixed and os.name == "posix":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # `python -m` puts the current folder first in `sys.path`. A file random.py in that folder would then
        # be imported instead of Python's own module. This line moves the folder to the end of `sys.path`.
        sys.path.append(sys.path.pop(0))
    main()
