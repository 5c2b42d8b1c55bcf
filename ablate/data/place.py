"""Where a user's own images are: in a folder, in a table, or in the cache of Hugging Face's libraries."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a user's own images are, and which columns of a table to use."""

    path: str
    """The path of a folder or table.

    If `hub` is true, the name of a data set on Hugging Face's hub: `owner/name`.
    """
    hub: bool = False
    config: str | None = None
    """The name of the configuration to read. None means the only or default configuration."""
    image: str | None = None
    """The name of the column with the images. None means the only column that contains images."""
    label: str | None = None
    """The name of the column with the labels. None means the only column that can contain labels."""
