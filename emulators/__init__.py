"""In-process faces on broker.core, for programs that want messaging without a broker: nothing here opens a socket."""
