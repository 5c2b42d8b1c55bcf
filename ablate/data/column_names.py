"""The usual names of the columns of a table of images."""

COLUMNS = {
    "path": (
        "path", "file", "filename", "filepath", "imagepath", "image", "imagename", "imagefile", "imgpath",
        "img", "imgname", "fname", "name", "imageid", "id",
    ),
    "label": ("label", "class", "target", "category", "classname", "labelname", "labels", "cats", "y"),
    "split": ("split", "set", "subset", "partition", "part", "phase", "usage", "isvalid", "istest"),
}  # fmt: skip
"""Maps the content of a column to the column's usual names, in order of preference.

The names consist of lower-case letters and digits, as `strip_name` returns them.
"""


def strip_name(name: str) -> str:
    """Convert a column's name to lower case, and keep only letters and digits."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
