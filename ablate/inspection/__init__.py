"""Load trained networks, and show what their layers compute and which classes they confuse."""
