"""Training: one loop, given a step function."""
