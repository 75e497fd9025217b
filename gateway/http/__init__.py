"""HTTP to targets with libcurl: the client on the loop, a single request, and the sample of `testConsumer`."""
