"""`python -m domination`."""

import sys

from domination.cli import main

sys.exit(main())
