"""The interactive versions of figures: Vega-Lite specifications, made from the same data as the drawings."""
