"""What other programs import: `lib.mq`."""
