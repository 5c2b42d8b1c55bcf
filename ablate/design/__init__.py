"""From a study's factors to its arms, and from its arms to runs."""
