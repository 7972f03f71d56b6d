"""Which person each prior learns from."""

from rtmo_plugin.models.assigners.sim_ota import SimOTAAssigner

__all__ = ["SimOTAAssigner"]
