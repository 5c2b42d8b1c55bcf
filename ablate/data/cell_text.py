"""Text that may stand in a cell of a table: what a name out of a file or folder must satisfy."""

SPREADSHEET_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    """The text, if it holds no control characters."""
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


def table_cell(text: str) -> str:
    """The text, if no spreadsheet takes it for a formula."""
    if text.startswith(SPREADSHEET_FORMULA):
        raise ValueError("must not begin like a spreadsheet formula (=, +, -, @)")
    return text
