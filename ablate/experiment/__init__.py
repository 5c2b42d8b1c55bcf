"""The main job: search, tune, confirm and time the arms of a study."""
