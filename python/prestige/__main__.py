"""`python -m prestige`: the same as the `prestige` command."""

import sys

from prestige.cli import main

if __name__ == "__main__":
    sys.exit(main())
