"""Schedules of a workspace: jobs that are submitted again and again, by cron expressions or recurrences."""
