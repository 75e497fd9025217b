"""`flask …` commands for the service's own host. They work even when nobody can log in to the API."""
