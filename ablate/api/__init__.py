"""The Python interface: `ablate.Study`, `ablate.plan`, `ablate.run` and `ablate.load`."""
