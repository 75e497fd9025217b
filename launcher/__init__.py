"""Starts everything that the service needs on one machine, under a supervisor: `./run.sh`.

Knows the programs and how to start them; of the service it knows only the settings.
"""
