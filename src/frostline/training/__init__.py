"""Training: the step, the loop, its state."""
