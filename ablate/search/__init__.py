"""`design: search`: Optuna proposes candidates (combinations of values) in generations."""
