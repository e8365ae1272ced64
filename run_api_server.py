"""Start the server with the current settings: `python run_api_server.py`."""

from app.core.lean_start import begin, leave

if __name__ == "__main__":
    begin()

    from app.main import main

    leave(main())
