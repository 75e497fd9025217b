"""The library for other programs: `lib.mq`."""
