"""One writer for each format: a draft is written, compared with PyTorch, and only then gets its name."""
