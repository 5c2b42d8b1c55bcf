"""A study's results for a paper: a table, numbers, a description of the methods, sources and figures."""
