"""Records of runs: their columns and tables, the report folder, and where records are stored."""
