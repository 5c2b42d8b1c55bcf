"""Time, cost and the machine they were measured on."""
