"""The overview and its problems: GET /getOverview, POST /acknowledgeProblem, DELETE /deleteAcknowledgement."""

from __future__ import annotations

from domain.overview import Overview
from domain.problem import AcknowledgeProblem, ProblemNamed
from middlewares.auth import caller, services
from routes.answers import Done
from routes.api import Api, Reply, done

api = Api("overview")


@api.get("/getOverview", role="viewer")
def get_overview() -> Reply[Overview]:
    """Get the current problems, the most severe first and the acknowledged ones last, and totals of queues, messages
    and rates.

    The answer is at most two seconds old. Counts of messages are RabbitMQ's statistics, which are up to five seconds
    old."""
    return Reply(services.problems.in_context(services.overviews.now()))


@api.post("/acknowledgeProblem", role="operator", refuses=("404 problem_not_found",))
def acknowledge_problem(body: AcknowledgeProblem) -> Reply[Done]:
    """Acknowledge a current problem, with a note for the other users. The problem moves to the end of the list until it
    ends: until the service has not observed it for two minutes."""
    services.problems.acknowledge(body, caller().username)
    return done("Problem has been acknowledged successfully.")


@api.delete("/deleteAcknowledgement", role="operator", refuses=("404 problem_not_found",))
def delete_acknowledgement(body: ProblemNamed) -> Reply[Done]:
    """Withdraw the acknowledgement of a problem."""
    services.problems.withdraw(body)
    return done("Acknowledgement has been deleted successfully.")
