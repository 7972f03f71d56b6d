"""Training: the runner, its hooks, mixed precision, schedules, and everything that makes a run resumable."""
