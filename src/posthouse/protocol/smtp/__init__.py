"""SMTP as one sans-IO Connection for both roles."""
