"""Trainings in processes of their own: the worker that claims jobs, what a job asks for, its limits and progress."""
