"""`python -m netsurgery`: the command, where its script isn't on the path."""

import sys

from netsurgery.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
