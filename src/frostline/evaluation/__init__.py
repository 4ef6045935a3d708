"""Evaluation: metrics."""
