"""The Python interface: `ablate.Study`, `ablate.plan`, `ablate.run`, `ablate.load` and `ablate.judge`."""
