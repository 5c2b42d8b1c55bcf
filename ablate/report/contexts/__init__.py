"""Write the report of a study with contexts. It compares the answers of all contexts."""
