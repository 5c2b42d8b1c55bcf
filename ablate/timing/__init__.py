"""Time and cost of training, and the machine on which they were measured."""
