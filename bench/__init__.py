"""Measurements: what a send costs, side by side in one run."""
