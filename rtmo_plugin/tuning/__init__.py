"""Tuning: trials of a training with other values of a few numbers, on Ray Tune, and the best values as a config."""
