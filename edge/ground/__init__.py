"""What every room stands on: clocks, fault points, spans, key files."""
