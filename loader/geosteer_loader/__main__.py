"""`python -m geosteer_loader` is the `geosteer` command."""

from __future__ import annotations

import sys

from geosteer_loader.cli.main import main

sys.exit(main())
