"""Statistics: functions from data frames to data frames, without torch."""
