"""The usual names of the columns in a table that lists images."""

COLUMNS = {
    "path": (
        "path", "file", "filename", "filepath", "imagepath", "image", "imagename", "imagefile", "imgpath",
        "img", "imgname", "fname", "name", "imageid", "id",
    ),
    "label": ("label", "class", "target", "category", "classname", "labelname", "labels", "cats", "y"),
    "split": ("split", "set", "subset", "partition", "part", "phase", "usage", "isvalid", "istest"),
}  # fmt: skip
"""The usual names of three columns: paths of images, labels, and parts of the data set.

The parts are training, validation and test. If a table has several of these columns, the name that comes
first here is used. The names consist of lower-case letters and digits, as `strip_name` returns them.
"""


def strip_name(name: str) -> str:
    """Convert a column's name to lower case, and keep only letters and digits."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
