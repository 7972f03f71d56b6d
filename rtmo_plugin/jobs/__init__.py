"""Poses in millions of images and videos: jobs that workers process in shards, and that can be resumed.

A job is a folder: ``job.json`` describes it, and every finished shard is a file of records.
This process, or Ray, gives shards to workers, each with its own engine.
"""

from rtmo_plugin.jobs.job import Job, open_job
from rtmo_plugin.jobs.running import run_job
from rtmo_plugin.jobs.shard_files import read_records
from rtmo_plugin.jobs.worker import ShardReport

__all__ = ["Job", "ShardReport", "open_job", "read_records", "run_job"]
