"""The approver vote: a cohort agrees on what an energy session came to, or it does not count. Pure."""
