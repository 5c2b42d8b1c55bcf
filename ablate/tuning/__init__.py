"""The rule that tunes every arm alike."""
