"""Commands of `flask …` on the service's own host. They work while nobody can log in to the API."""
