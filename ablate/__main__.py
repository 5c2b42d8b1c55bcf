"""`python -m ablate`."""

import os
import sys


def main() -> None:
    """Run the command line in a process with a fixed hash seed."""
    _fix_hash_seed()
    from ablate.cli.main import main as run_command  # late, because this import takes 0.1 s

    run_command()


def _fix_hash_seed() -> None:
    """Start this process again with Python's hash seed 0, unless the process already has this seed.

    The order of a set of strings depends on the hash seed, and a user's network can depend on that order. The
    fixed seed makes the network the same in every process: in workers, and in this process, which tries,
    times and inspects the network. Python reads the hash seed only when it starts. On Windows, only workers
    have the fixed seed.
    """
    fixed = not sys.flags.hash_randomization or os.environ.get("PYTHONHASHSEED") == "0"
    given = sys.orig_argv[len(sys.orig_argv) - len(sys.argv) + 1 :]
    if not fixed and os.name == "posix" and given == sys.argv[1:]:  # otherwise another program imports ablate
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if __name__ == "__main__":
    if not sys.flags.safe_path:
        # `python -m` searches the current folder first. A file random.py there would hide Python's module.
        sys.path.append(sys.path.pop(0))
    main()
