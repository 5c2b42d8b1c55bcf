"""Run records: their stores, their tables and columns, and the report folder."""
