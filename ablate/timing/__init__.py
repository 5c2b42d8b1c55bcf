"""Measure the time and cost of training, and describe the machine of the measurement."""
