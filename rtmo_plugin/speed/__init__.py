"""Measured speed: sides that take turns, the machine they ran on, and ``rtmo benchmark``."""
