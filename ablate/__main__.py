"""`python -m ablate`."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # `python -m` searches the current folder first. A file random.py there would hide Python's.
    sys.path.append(sys.path.pop(0))

from ablate.cli.main import main  # not before the line above

if __name__ == "__main__":
    main()
