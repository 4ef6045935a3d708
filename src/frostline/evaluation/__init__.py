"""Evaluation: metrics with intervals, calibration, comparisons."""
