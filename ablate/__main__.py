"""The entry point of `python -m ablate`."""

import atexit
import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line in a process with a fixed hash seed."""
    leaving = _Leaving()
    # The arguments differ if another program has imported ablate. ablate then leaves that process unchanged.
    if sys.orig_argv[len(sys.orig_argv) - len(sys.argv) + 1 :] == sys.argv[1:]:
        _fix_hash_seed()
        atexit.register(leaving)  # runs last, because `atexit` calls the functions in reverse order
    from ablate.cli.main import main as run_command  # imported here, because this takes 0.1 s

    try:
        run_command()
    except SystemExit as ended:
        leaving.code = ended.code
        raise


class _Leaving:
    """Ends the process at once, after all other functions that are registered with `atexit`.

    Otherwise Python would free a million objects one by one, which takes a sixth as long as `import torch`.
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
    fixed seed makes the network the same in every process: in workers, and in this process, which tries,
    times and inspects the network. Python reads the hash seed only when it starts. On Windows, only workers
    have the fixed seed.
    """
    fixed = not sys.flags.hash_randomization or os.environ.get("PYTHONHASHSEED") == "0"
    if not fixed and os.name == "posix":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # `python -m` puts the current folder first in `sys.path`, so a file random.py in it would hide
        # Python's module. This line moves the folder to the end.
        sys.path.append(sys.path.pop(0))
    main()
