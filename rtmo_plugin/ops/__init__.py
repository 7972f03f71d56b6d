"""Pure tensor functions that training, inference and export share.  No state, no I/O."""
