"""Meter to money: settled periods and their reports."""
