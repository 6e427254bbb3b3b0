"""k of n: secrets shared, proven and used without ever being put together. Pure."""
