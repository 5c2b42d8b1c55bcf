"""Exceptions from which ablate concludes that a file is damaged."""

import tarfile
import zipfile
import zlib

TORN = (AssertionError, ValueError, TypeError, KeyError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile)  # fmt: skip
"""The exceptions that torchvision's and Pillow's readers and unpackers raise for damaged files."""
