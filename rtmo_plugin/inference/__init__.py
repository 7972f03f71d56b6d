"""What runs without torch and mm*: drawing and image files, on NumPy and OpenCV alone."""
