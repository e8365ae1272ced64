"""uvicorn and what guards it."""
