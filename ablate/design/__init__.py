"""Make arms from a study's factors, and runs from the arms."""
