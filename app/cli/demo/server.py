"""The server, led to a twin of fal's CDN: `python -m app.cli.demo.server http://127.0.0.1:PORT`.

Everything else is as with `python -m app.main`, which has no such argument, and no setting says it either.
"""

import sys

from app.main import main
from app.twins.mapped import MappedWay

if __name__ == "__main__":
    sys.exit(main(MappedWay(sys.argv[1])))
