"""Where a user's own images are: in a folder, in a table, or in the cache of Hugging Face's libraries."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a user's own images are, and which columns of a table to use."""

    path: str
    """A path of a folder or table. With `hub`, a data set's name on Hugging Face's hub: `owner/name`."""
    hub: bool = False
    config: str | None = None
    """The configuration of a data set that has several. None: its only one, or its default."""
    image: str | None = None
    """The column of images, for tables with the images inside. None: the only one."""
    label: str | None = None
    """The column of labels, for tables with the images inside. None: the only one."""
