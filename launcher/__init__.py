"""What `./run.sh` starts: everything that the service needs on one machine, under a supervisor.

Knows which programs there are and how to start them, and of the service only its settings.
"""
