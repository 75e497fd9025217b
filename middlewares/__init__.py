"""What every request goes through: who asks, what is logged, which headers go out."""
