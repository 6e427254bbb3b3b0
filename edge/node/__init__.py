"""A running node: what it takes in, carries out, serves, issues and promotes."""
