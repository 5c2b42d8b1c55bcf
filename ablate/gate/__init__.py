"""A gate for pipelines: check whether two report folders show that requirements hold."""
