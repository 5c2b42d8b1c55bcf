"""Where a user's own images are: in a folder, in a table, or in the cache of Hugging Face's libraries."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a user's own images are, and which columns of a table to use."""

    path: str
    """The path of a folder or table. With `hub`, a data set's name on Hugging Face's hub: `owner/name`."""
    hub: bool = False
    config: str | None = None
    """The configuration of a data set that has several. None: the only or default configuration."""
    image: str | None = None
    """The column of the images, for tables that contain the images. None: the only such column."""
    label: str | None = None
    """The column of the labels, for tables that contain the images. None: the only such column."""
