"""Synthetic people and robots, which need no download.

People from numbers to pixels: ``poses`` (body, ranges of joint angles) > ``figure`` (bodies in 3-D) > ``scene`` (people
placed in a frame) > ``parts`` and ``rendering`` (label map, image; ``background`` behind them) > ``annotation`` (COCO
ground truth) > ``synthetic_people`` (the dataset), ``synthetic_images`` (its images as a transform) and ``coco_folder``
(both as files). ``robots`` are an example of own keypoints.
"""
