"""`design: search`: candidates in generations, proposed by Optuna."""
