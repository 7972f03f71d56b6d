"""Folders in the layout of the Hugging Face Hub: what is in them, and how they get here; no torch."""
