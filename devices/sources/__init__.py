"""Where a meter's registers come from: a recording, or a synthetic home."""
