"""The page of ``rtmo serve``: people in a dropped image or the webcam.

``connections``, ``uploads`` and ``decoder_pool`` limit uploads, ``guard`` refuses foreign host names and pages, ``app``
joins them to a model, ``server`` runs the app, and ``page`` holds how ``rtmo_plugin.webpage`` asks it.
"""
