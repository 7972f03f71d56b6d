"""The page of ``rtmo serve``: drop a picture or open the webcam, see who is found.

``connections``, ``uploads`` and ``decoding`` bound what is taken in, ``guard`` says to whom it answers, ``app`` joins
them to a model, ``server`` runs them, and ``page`` holds what the browser loads: nothing comes from elsewhere.
"""
