"""Everything that registers a model part; imported by MMEngine on the first look-up in our scope."""

from rtmo_plugin.models import assigners, batch_resize, heads, losses, necks  # noqa: F401
