"""Records of finished runs: where they are stored, the tables made from them, and the report folder."""
