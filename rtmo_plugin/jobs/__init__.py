"""Poses in millions of images and videos: jobs that are done in shards, by many workers, and can be resumed.

A job lies in a folder: ``job.json`` says what is done, and every finished shard is a file of records there.
This process, or Ray, hands shards to workers, each with an engine of its own.
"""

from rtmo_plugin.jobs.job import Job, open_job
from rtmo_plugin.jobs.running import run_job
from rtmo_plugin.jobs.shard_files import read_records
from rtmo_plugin.jobs.worker import ShardReport

__all__ = ["Job", "ShardReport", "open_job", "read_records", "run_job"]
