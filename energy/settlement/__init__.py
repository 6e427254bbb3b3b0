"""From meter registers to what is reported, paid and billed: each watt-hour once. Pure."""
