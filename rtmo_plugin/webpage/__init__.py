"""The page that shows people in images, videos and the webcam, as ``rtmo serve`` and ``--format web`` have it.

``page`` holds what browsers load, except for ``detector.js``, which detects the people. The page of ``rtmo serve`` asks
its server (``rtmo_plugin/serving/page``), an exported page asks ONNX Runtime in the tab (``rtmo_plugin/export/web``).
"""
