"""HTTP to targets by libcurl: the client on the loop, one request, and the sample that testConsumer sends."""
