"""The approver vote: a cohort agrees on what an energy session came to. Pure."""
