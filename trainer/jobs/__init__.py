"""Trainings in processes of their own: the worker that claims jobs, a run's limits, work side by side."""
