"""The tuning rule, which is the same for every arm (variant of the network)."""
