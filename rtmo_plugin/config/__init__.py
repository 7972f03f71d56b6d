"""Configs: read, checked key by key, described, and changed by the options of a command."""
