"""Training: the runner, its hooks, mixed precision, schedules, and everything that makes a run resumable."""

from rtmo_plugin import workarounds

workarounds.apply()  # modules of this room import MMPose
