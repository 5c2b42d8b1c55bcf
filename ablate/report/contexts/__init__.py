"""The report of a study with contexts: the answers of all contexts side by side."""
