"""Start the server with the current settings: `python run_api_server.py`."""

import sys

from app.main import main

if __name__ == "__main__":
    sys.exit(main())
