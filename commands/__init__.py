"""`flask …` commands for the service's own host. They work even when no user can log in to the API."""
