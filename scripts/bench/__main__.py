"""The program; see cli.py."""

import sys

from . import cli

sys.exit(cli.main())
