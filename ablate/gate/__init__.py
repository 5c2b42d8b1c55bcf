"""A gate for pipelines: requirements on two report folders, and whether the folders show that they hold."""
