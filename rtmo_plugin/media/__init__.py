"""Images and videos: read upright and within limits, listed, drawn on and written; no torch."""
