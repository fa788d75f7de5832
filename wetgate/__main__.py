"""``python -m wetgate``."""

import sys

from wetgate.cli.main import main

sys.exit(main())
