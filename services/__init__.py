"""Use cases, one module per resource. They decide and raise domain errors; they know no Flask, pika, curl or Mongo."""
