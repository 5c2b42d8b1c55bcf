"""Judge runs that others trained."""
