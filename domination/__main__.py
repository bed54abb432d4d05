"""`python -m domination`."""

import sys

from domination.cli.main import main

sys.exit(main())
