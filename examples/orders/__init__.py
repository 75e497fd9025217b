"""An order-processing system that shows every pattern of RabbitMQ: `python -m examples.orders --help`."""
