"""Models run on frames: sessions, tiles, windows, sequences, and the server.

Importing anything of this package comes before onnxruntime, which would otherwise tell Microsoft that and how it
runs (1.31 does on Linux, as soon as it is imported). A studio's pictures are nobody else's business.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
