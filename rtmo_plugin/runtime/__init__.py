"""Exported files: an engine for each format, their input, and the people in their outputs; no torch."""
