"""In-process emulators on broker.core, for programs that need messaging without a broker. They open no socket."""
