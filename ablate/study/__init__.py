"""The study file: its allowed content, and how it is read and written."""
