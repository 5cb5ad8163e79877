"""What runs from cron: sources, publishing and the command line."""
