"""`python -m cli …`: `flask rmq …` without flask."""

from cli import rmq

if __name__ == "__main__":
    rmq(prog_name="rmq")
