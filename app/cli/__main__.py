"""`python -m app.cli` is `aisha-webhook` where only requirements.txt was installed."""

from app.cli.main import main

main()
