"""The application for WSGI servers: `gunicorn wsgi:app`. Its settings come from the environment and .env."""

from app import create_app

app = create_app()
