"""Check text that ablate writes into a cell of a table, such as the name of a file or folder."""

SPREADSHEET_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def require_printable(text: str) -> str:
    """Return the text if it has no control characters.

    Raises:
        ValueError: the text has control characters.
    """
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


def require_table_cell(text: str) -> str:
    """Return the text if a spreadsheet does not read it as a formula.

    Raises:
        ValueError: a spreadsheet reads the text as a formula.
    """
    if text.startswith(SPREADSHEET_FORMULA):
        raise ValueError("must not begin like a spreadsheet formula (=, +, -, @)")
    return text
