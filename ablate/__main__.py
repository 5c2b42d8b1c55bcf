"""`python -m ablate`."""

import os
import sys


def main() -> None:
    """Run the command line in a process with a fixed hash seed."""
    _fix_hash_seed()
    from ablate.cli.main import main as run_command  # late, because it takes a tenth of a second

    run_command()


def _fix_hash_seed() -> None:
    """Start this process again with Python's hash seed 0, unless it has this seed.

    The order of a set of texts depends on the hash seed, and a user's network may depend on that order. It
    must then be the same network for everyone, in workers and in this process, which tries, times and
    inspects it. Python reads the seed at its start only. On Windows, only workers have the fixed seed.
    """
    fixed = not sys.flags.hash_randomization or os.environ.get("PYTHONHASHSEED") == "0"
    given = sys.orig_argv[len(sys.orig_argv) - len(sys.argv) + 1 :]
    if not fixed and os.name == "posix" and given == sys.argv[1:]:  # else another program runs ablate
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # `python -m` searches the current folder first. A file random.py there would hide Python's.
        sys.path.append(sys.path.pop(0))
    main()
