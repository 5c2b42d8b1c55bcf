"""Make arms (variants of the network) from a study's factors, and make runs from these arms."""
