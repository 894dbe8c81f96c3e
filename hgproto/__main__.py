"""``python -m hgproto``: the command line."""

import sys

from hgproto.cli import main

sys.exit(main())
