"""Load trained networks. Show what their layers compute, and which classes they mistake for each other."""
