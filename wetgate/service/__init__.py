"""How the inference server is found, started and spoken to, shared by the engine and by host applications.

``docs/inference-server.md`` is the contract. Standard library only, Python 3.9+.
"""
