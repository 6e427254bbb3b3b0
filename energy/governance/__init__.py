"""What the voters of a community decide together. Pure."""
