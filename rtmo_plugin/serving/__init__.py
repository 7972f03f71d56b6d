"""The page of ``rtmo serve``: people in a dropped image or the webcam.

``connections``, ``uploads`` and ``decoding`` limit uploads, ``guard`` refuses foreign names and pages, ``app`` joins
them to a model, ``server`` runs them, and ``page`` holds everything that the browser loads.
"""
