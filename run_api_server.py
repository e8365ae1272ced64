"""Start the server with the current settings: `python run_api_server.py`."""

import sys

from app.core.lean_start import begin

if __name__ == "__main__":
    begin()

    from app.main import main

    sys.exit(main())
