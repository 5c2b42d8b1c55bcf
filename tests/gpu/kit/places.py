"""Where the kit finds things."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
"""The working tree."""
CARRIED_FOLDER = ROOT / ".kit"
"""What travels with the working tree: wheels and data. git ignores it."""
