"""Tracking: ids that stay with people from frame to frame, smoothing, and the tracked video."""
