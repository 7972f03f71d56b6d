"""Run exported files: an engine for each format, letterbox, decoding and metadata; no torch."""
