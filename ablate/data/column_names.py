"""The usual names of the columns of a table of images."""

COLUMNS = {
    "path": (
        "path", "file", "filename", "filepath", "imagepath", "image", "imagename", "imagefile", "imgpath",
        "img", "imgname", "fname", "name", "imageid", "id",
    ),
    "label": ("label", "class", "target", "category", "classname", "labelname", "labels", "cats", "y"),
    "split": ("split", "set", "subset", "partition", "part", "phase", "usage", "isvalid", "istest"),
}  # fmt: skip
"""Usual column names in order of preference, in lower case without blanks, dashes and underscores."""


def strip_name(name: str) -> str:
    """Convert a column's name to lower case without blanks, dashes and underscores."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
