"""Who finalises: the rules by which milestones are issued. Pure."""
