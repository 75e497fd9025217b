"""The REST API: each module translates between HTTP and one service. Decides nothing, knows no driver."""
