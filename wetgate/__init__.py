"""Wetgate: small, film-specific restoration models from a handful of pairs.

The engine runs outside Nuke. This module imports nothing, so that ``import wetgate.project`` stays
cheap inside a host application.
"""

__version__ = "0.1.0"
