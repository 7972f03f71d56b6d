"""Speed beside other projects: MMPose, rtmlib, YOLO.  ``python -m benchmarks --help`` lists the subjects."""
