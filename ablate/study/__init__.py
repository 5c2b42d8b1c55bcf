"""The study file: what it may say, how it is read and written back."""
