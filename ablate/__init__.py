"""Does this choice in a small image network matter, by how much, and what does it cost?"""

__version__ = "0.1.0"
