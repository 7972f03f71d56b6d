"""Checkpoints: located, read without running code from them, compared with a model, and loaded into it."""
