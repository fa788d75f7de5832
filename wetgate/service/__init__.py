"""How the inference server is found, started and spoken to, shared by the engine and by host applications.

``docs/inference-server.md`` is the contract. Standard library only, Python 3.9+.
"""

from wetgate.service.client import Client, ServerError, ServerGone, connect, file_request
from wetgate.service.layout import Layout, lay_out
from wetgate.service.memory import Segment
from wetgate.service.messages import Code, Device, Model, Restored
from wetgate.service.places import Places, find_places

__all__ = [
    "Client",
    "Code",
    "Device",
    "Layout",
    "Model",
    "Places",
    "Restored",
    "Segment",
    "ServerError",
    "ServerGone",
    "connect",
    "file_request",
    "find_places",
    "lay_out",
]
