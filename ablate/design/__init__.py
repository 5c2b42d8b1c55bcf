"""From a study's factors to its arms, and from arms to runs."""
