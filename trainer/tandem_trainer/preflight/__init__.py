"""Checks of a job before it spends anything."""
