"""Keypoint sets: names, sigmas, flip pairs and bones, and the boxes and areas of labeled keypoints."""
